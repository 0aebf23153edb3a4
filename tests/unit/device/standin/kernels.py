"""Our kernels on the CPU: compiled as C++ and run thread by thread; entry point: `RawKernel`."""

from __future__ import annotations

import ctypes
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import threading
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from tests.unit.device.standin.arrays import ndarray

SHIM = Path(__file__).with_name("shim.h")
HEAD = re.compile(r'extern "C" __global__ void (\w+)\s*\(([^)]*)\)')
TYPES = {
    "int": ("int32",),
    "long long": ("int64",),
    "unsigned long long": ("uint64", "int64"),
    "float": ("float32",),
    "double": ("float64",),
    "bool": ("bool",),
    "unsigned char": ("uint8", "bool"),
}
FLAGS = (
    "-std=c++17 -O2 -ffp-contract=off -U_FORTIFY_SOURCE -fPIC -shared -Wl,-Bsymbolic"
    " -Wall -Werror -Wno-unused-function"
)
# Emulated threads take turns: a few of them show the same as the many of a device.
MOST_THREADS = 16
_compiling = threading.Lock()
ORDERS = ("ascending", "descending", "shuffled")


class Settings:
    """How threads run, for all kernels; tests change it."""

    threads = MOST_THREADS
    order = "ascending"


def compiler() -> str | None:
    """Return the C++ compiler of this machine."""
    named = os.environ.get("CXX")
    return named or next(
        (found for c in ("g++", "clang++", "c++") if (found := shutil.which(c))), None
    )


def parameters(source: str) -> dict[str, tuple[tuple[str, bool], ...]]:
    """Return kernel -> type and whether it is an array, of each parameter."""
    found = {}
    for name, text in HEAD.findall(source):
        words = [" ".join(p.replace("const ", "").split()) for p in text.split(",")]
        found[name] = tuple((re.sub(r"\*? ?\w+$", "", w).strip(" *"), "*" in w) for w in words)
    return found


def as_program(source: str) -> str:
    """Return the kernels as C++ with a function to start each."""
    text = f'#include "{SHIM}"\n#line 1\n{source}\n'
    barriers = "true" if "__syncthreads" in source else "false"
    for name, known in parameters(source).items():
        given = ", ".join(
            f"*({kind}{'*' if is_array else ''}*)values[{i}]"
            for i, (kind, is_array) in enumerate(known)
        )
        text += (
            f'extern "C" int start_{name}(int grid, int block, const int* order, int backwards, void** values)\n'
            f"{{ body = [=] {{ {name}({given}); }}; return run_all(grid, block, order, backwards, {barriers}); }}\n"
        )
    return text


@cache
def library(source: str) -> ctypes.PyDLL:
    """Return the compiled kernels."""
    folder = Path(tempfile.gettempdir()) / f"tissuemaps-kernels-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    assert folder.stat().st_uid == os.getuid(), f"{folder} is somebody else's"
    program = as_program(source)
    key = hashlib.blake2b((program + SHIM.read_text()).encode(), digest_size=8).hexdigest()
    file = folder / f"{key}.so"
    if not file.exists():
        found = compiler()
        assert found is not None
        code, made = folder / f"{key}-{os.getpid()}.cpp", folder / f"{key}-{os.getpid()}.so"
        code.write_text(program)
        subprocess.run([found, *FLAGS.split(), "-o", made, code], check=True)
        made.replace(file)
        code.unlink()
    # with the interpreter locked: places and stacks of emulated threads are there once
    return ctypes.PyDLL(str(file))


def _order(n: int) -> np.ndarray:
    threads = np.arange(n, dtype=np.int32)
    if Settings.order == "descending":
        return threads[::-1].copy()
    if Settings.order == "shuffled":
        return np.random.default_rng(n).permutation(threads)
    return threads


class RawKernel:
    """A kernel that is started as cupy starts it; refuses arguments that CUDA would misread."""

    def __init__(self, code: str, name: str, options: tuple[str, ...] = ()) -> None:
        assert set(options) <= {"--fmad=false"}
        self.code, self.name = code, name
        self.parameters = parameters(code)[name]

    def __call__(self, grid: tuple[int], block: tuple[int], args: tuple[Any, ...]) -> None:
        assert 0 < block[0] <= 1024
        assert 0 < grid[0] < 2**31
        assert len(args) == len(self.parameters), (
            f"{self.name} has {len(self.parameters)} parameters"
        )
        values = [self._value(i, a) for i, a in enumerate(args)]
        pointers = (ctypes.c_void_p * len(values))(
            *(ctypes.cast(ctypes.pointer(v), ctypes.c_void_p) for v in values)
        )
        has_barriers = "__syncthreads" in self.code
        threads = min(block[0], Settings.threads) if has_barriers else block[0]
        order = _order(threads)
        with _compiling:
            start = getattr(library(self.code), f"start_{self.name}")
        line = start(
            grid[0],
            threads,
            order.ctypes.data_as(ctypes.c_void_p),
            Settings.order != "ascending",
            pointers,
        )
        assert not line, f"{self.name}: not all threads came to the barrier of line {line}"

    def _value(self, i: int, given: Any) -> Any:
        kind, is_array = self.parameters[i]
        where = f"argument {i} of {self.name}"
        if is_array:
            assert isinstance(given, ndarray), f"{where} must be an array of the device"
            assert given.flags.c_contiguous, f"{where} is not contiguous"
            assert given.dtype.name in TYPES[kind], f"{where} is {given.dtype}, not {kind}"
            return ctypes.c_void_p(given._values.ctypes.data)
        assert isinstance(given, np.generic), f"{where} is a Python number: its type is a guess"
        assert given.dtype.name in TYPES[kind], f"{where} is {given.dtype}, not {kind}"
        return np.ctypeslib.as_ctypes_type(given.dtype)(given.item())

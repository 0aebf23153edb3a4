"""A file type that does to its process what damaged files do to native code; for the guard's tests."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from gpu_workers.formats.contents import ImageContent


class Misbehaving:
    """What it does stands in the file's name."""

    suffixes: ClassVar = (".bad",)
    guarded: ClassVar = True

    def __init__(self, folder: Path, file: str):
        self._does = file

    def contents(self) -> tuple[ImageContent, ...]:
        if self._does == "segfault":
            ctypes.string_at(0)
        if self._does == "exit":
            os._exit(0)
        if self._does == "memory":
            return (ImageContent(len(bytes(2**31)), 1, "uint8"),)
        if self._does == "noise":
            os.write(1, b"what libraries print\n")
            sys.stdout.write("more of it\n")
        if self._does == "tell":
            return (ImageContent(1 + ("secret" in str(os.environ)), 1, "uint8"),)
        if self._does == "loop":
            while True:
                pass
        return (ImageContent(3, os.getpid(), "uint16"),)

    def plane_bytes(self, page: int) -> int:
        return 2**62 if self._does == "huge" else 0

    def read(self, page: int, sample: int = 0) -> npt.NDArray[Any]:
        if self._does == "huge":
            return np.frombuffer(bytes(2**31), np.uint8)[None]
        return np.full((3, 5), page, np.uint16)

    def close(self) -> None: ...


ENTRIES = {"files": {"misbehaving": f"{__name__}:Misbehaving"}}

"""Files that are read in a process of their own; entry point: `GuardedFile`.

Some decoders written in C crash on damaged files (JPEG XR does), and some libraries can be made to run
for ever or to take all memory. A file type with ``guarded = True`` is therefore read by a second
process, one for all files: where it dies or exceeds its limits, the file is at fault, not the job.
The other side is `gpu_workers.formats.files.guard`.
"""

from __future__ import annotations

import atexit
import itertools
import json
import os
import re
import selectors
import subprocess
import sys
import threading
import time
from functools import cache
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
import numpy.typing as npt

from gpu_workers.errors import FileError
from gpu_workers.formats.contents import ImageContent
from gpu_workers.formats.listing import shown

WALL_S: Final = 600.0
"""Limit for one request, whatever it waits for; its computing time is limited by the process itself."""
MAX_CRASHES: Final = 3
_MAX_ANSWER: Final = 2**20
_ONE_THREAD: Final = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
# Whoever takes over a decoder by a crafted file finds no password of the broker or the database here.
_NEEDED: Final = re.compile(
    r"PATH|HOME|USER|TMPDIR|TZ|LANG|LC_\w+|LD_LIBRARY_PATH|VIRTUAL_ENV|PYTHON\w+|COV\w+|COVERAGE\w+|NUMBA_\w+"
    r"|TISSUEMAPS_(PLUGINS|PACKAGES)"
)
_tokens = itertools.count()


@cache
def contents_adapter() -> Any:
    """Return what turns contents into JSON and back."""
    from pydantic import TypeAdapter

    return TypeAdapter(tuple[ImageContent, ...])


class GuardedFile:
    """An image file that the second process opens.

    Parameters
    ----------
    kind
        Name of the file type in the registry.
    """

    def __init__(self, kind: str, folder: Path, file: str):
        self._file = file
        self._crashes = 0
        self._token = next(_tokens)
        self._request = {"kind": kind, "folder": os.fspath(folder), "file": file}
        self._ask("open")

    def contents(self) -> tuple[ImageContent, ...]:
        """Return the images in the file, as the file type does."""
        found: tuple[ImageContent, ...] = contents_adapter().validate_json(
            self._ask("contents").tobytes()
        )
        return found

    def read(self, page: int, sample: int = 0) -> npt.NDArray[Any]:
        """Return one plane, as the file type does."""
        return self._ask("read", page=page, sample=sample)

    def close(self) -> None:
        """Let the file go."""
        _process.forget(self._token)

    def _ask(self, what: str, **arguments: int) -> npt.NDArray[Any]:
        if self._crashes >= MAX_CRASHES:
            raise self._fault("reading it has failed too often")
        try:
            answer, data = _process.ask(
                {**self._request, "token": self._token, "do": what, **arguments}
            )
        except _Died as error:
            self._crashes += 1
            raise self._fault(str(error)) from None
        if "message" in answer:
            raise FileError(answer["message"], code=answer["code"], files=tuple(answer["files"]))
        if "errno" in answer:
            raise OSError(answer["errno"], answer["text"], self._file)
        if "damaged" in answer:
            raise self._fault(answer["damaged"])
        return data

    def _fault(self, reason: str) -> FileError:
        name = shown(self._file)
        return FileError(
            f"{name} is damaged or cut short: {reason}", code="truncated_file", files=(name,)
        )


class _Died(Exception):
    """The second process is gone, or had to be ended."""


class _Process:
    """The second process of this one: started when needed, and again after it has died."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._share = -1
        self._owner = 0

    def ask(self, request: dict[str, Any]) -> tuple[dict[str, Any], npt.NDArray[Any]]:
        """Return the answer and its data; raise _Died where there is none."""
        with self._lock:
            for last in (False, True):
                process = self._running()
                try:
                    answer = _exchange(process, request)
                    return answer, _fetch(self._share, answer)
                except (OSError, ValueError, _Died) as error:
                    reason = self._end(process, error)
                    # It ends by itself, between two requests, when it has grown.
                    if process.returncode or last:
                        raise _Died(reason) from None
            raise AssertionError

    def forget(self, token: int) -> None:
        """Close a file over there, if the process still runs."""
        with self._lock:
            process = self._process
            if process is None or self._owner != os.getpid() or process.poll() is not None:
                return
            try:
                _exchange(process, {"do": "close", "token": token})
            except (OSError, ValueError, _Died) as error:
                self._end(process, error)

    def close(self) -> None:
        """End the process, if it is ours."""
        if self._process is not None and self._owner == os.getpid():
            self._end(self._process, None)

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._owner != os.getpid() or self._process.poll() is not None:
            # Answers come through a pipe, arrays through a file in memory: a pipe is 10 times slower.
            self._share = os.memfd_create("planes")
            self._process = _start(self._share)
            self._owner = os.getpid()
        return self._process

    def _end(self, process: subprocess.Popen[bytes], error: Exception | None) -> str:
        """End the process and return in words what became of it."""
        if isinstance(error, _Died) and error.args:
            process.kill()
        for stream in (process.stdin, process.stdout):
            try:
                _open(stream).close()
            except OSError:
                continue
        try:
            status = process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            status = process.wait()
        os.close(self._share)
        self._process = None
        if isinstance(error, _Died) and error.args:
            return str(error)
        reason = f"signal {-status}" if status < 0 else f"status {status}"
        return f"the program that reads it came to an end ({reason})"


def _open(stream: IO[bytes] | None) -> IO[bytes]:
    if stream is None:
        raise ValueError("no stream")
    return stream


def _start(share: int) -> subprocess.Popen[bytes]:
    root = str(Path(__file__).parents[3])
    known = {name: value for name, value in os.environ.items() if _NEEDED.fullmatch(name)}
    path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    return subprocess.Popen(  # noqa: S603
        [sys.executable, "-m", "gpu_workers.formats.files.guard", str(share)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0,
        env={**known, **_ONE_THREAD, "PYTHONPATH": path}, pass_fds=(share,),
    )  # fmt: skip


def _exchange(process: subprocess.Popen[bytes], request: dict[str, Any]) -> dict[str, Any]:
    """Send a request and return its answer, a line of JSON."""
    until = time.monotonic() + WALL_S
    _open(process.stdin).write(json.dumps(request).encode() + b"\n")
    output = _open(process.stdout).fileno()
    line = b""
    with selectors.DefaultSelector() as selector:
        selector.register(output, selectors.EVENT_READ)
        while not line.endswith(b"\n"):
            if not selector.select(max(until - time.monotonic(), 0)):
                raise _Died(f"reading it takes more than {WALL_S:.0f} s")
            got = os.read(output, _MAX_ANSWER)
            if not got or len(line) > _MAX_ANSWER:
                raise _Died
            line += got
    answer: dict[str, Any] = json.loads(line)
    return answer


def _fetch(share: int, answer: dict[str, Any]) -> npt.NDArray[Any]:
    """Return the array that an answer announces."""
    image: npt.NDArray[Any] = np.empty(answer.get("shape", [0]), answer.get("dtype", "uint8"))
    view = image.reshape(-1).view(np.uint8).data
    done = 0
    while done < len(view):
        got = os.preadv(share, [view[done:]], done)
        if not got:
            raise _Died
        done += got
    return image


_process = _Process()
atexit.register(_process.close)

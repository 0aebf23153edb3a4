"""The process that reads files for another: ``python -m gpu_workers.formats.files.guard HANDLE``.

Reads one JSON line per request from its standard input and answers with one on its standard output;
the array that an answer announces stands in the file in memory that it got the handle of. It ends
with its input, at the latest when its answer finds no reader.
"""

from __future__ import annotations

import errno
import json
import os
import resource
import signal
import sys
from collections import OrderedDict
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gpu_workers import registry
from gpu_workers.errors import FileError
from gpu_workers.formats.contents import OpenFile
from gpu_workers.formats.files.guarded import contents_adapter

CPU_S: Final = 120
MEMORY: Final = 700 * 2**20
"""How much memory a request may add, beyond four times the plane that is read."""
SMALL: Final = 64 * 2**20
USUAL_RATIO: Final = 20
"""Planes larger than `SMALL` are believed as far as they aren't packed better than this."""
GROWN: Final = 2 * 2**30
"""Libraries keep some of what they take: beyond this the process makes way for a new one."""
_MAX_OPEN: Final = 16
# The file system's trouble, not the file's; other errors (seeking before the start) are the file's.
_SYSTEM: Final = frozenset(
    {errno.EIO, errno.ENOSPC, errno.EMFILE, errno.ENFILE, errno.ESTALE, errno.EACCES, errno.ENOMEM,
     errno.EPERM, errno.ENOENT, errno.ETIMEDOUT}
)  # fmt: skip


def _address_space() -> int:
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except (OSError, ValueError):
        return 0
    return pages * resource.getpagesize()


def _limit(kind: int, value: int) -> None:
    hard = resource.getrlimit(kind)[1]
    resource.setrlimit(kind, (value if hard < 0 else min(value, hard), hard))


def _believed(opened: OpenFile, request: dict[str, Any]) -> int:
    """Return the size a plane claims, as far as the size of its file makes it likely."""
    claimed: int = getattr(opened, "plane_bytes", lambda _: 0)(request["page"])
    try:
        size = (Path(request["folder"]) / request["file"]).stat().st_size
    except OSError:
        # It is open here, whatever has become of its name.
        size = 0
    likely: int = max(SMALL, USUAL_RATIO * size)
    return max(0, min(claimed, likely))


class _Reader:
    """The files that are open, and what may be asked of them."""

    def __init__(self) -> None:
        self._files: OrderedDict[int, OpenFile] = OrderedDict()
        self._base = _address_space()

    def answer(self, request: dict[str, Any]) -> tuple[dict[str, Any], npt.NDArray[Any] | None]:
        """Return the answer to a request, an error as one, and the array that belongs to it."""
        used = resource.getrusage(resource.RUSAGE_SELF)
        _limit(resource.RLIMIT_CPU, int(used.ru_utime + used.ru_stime) + CPU_S)
        try:
            return self._do(request)
        except FileError as error:
            return {"message": error.message, "code": error.code, "files": error.files}, None
        except OSError as error:
            if error.errno in _SYSTEM:
                return {"errno": error.errno, "text": error.strerror}, None
            return {"damaged": str(error)[:1000]}, None
        except MemoryError:
            return {"damaged": "it claims more memory than it may"}, None
        except Exception as error:  # noqa: BLE001
            # Whatever a library raises here it raises because of the file.
            return {"damaged": f"{error}"[:1000] or type(error).__name__}, None

    def _do(self, request: dict[str, Any]) -> tuple[dict[str, Any], npt.NDArray[Any] | None]:
        if request["do"] == "close":
            opened = self._files.pop(request["token"], None)
            if opened is not None:
                opened.close()
            return {}, None
        opened = self._opened(request)
        if request["do"] == "contents":
            text = contents_adapter().dump_json(opened.contents())
            return {"shape": [len(text)]}, np.frombuffer(text, np.uint8)
        if request["do"] == "read":
            page = request["page"]
            self._allow(4 * _believed(opened, request))
            image = np.ascontiguousarray(opened.read(page, request["sample"]))
            return {"shape": image.shape, "dtype": image.dtype.str}, image
        return {}, None

    def _opened(self, request: dict[str, Any]) -> OpenFile:
        self._allow(0)
        token = request["token"]
        opened = self._files.pop(token, None)
        if opened is None:
            kind = registry.load("files", request["kind"])
            opened = kind(Path(request["folder"]), request["file"])
        self._files[token] = opened
        while len(self._files) > _MAX_OPEN:
            self._files.popitem(last=False)[1].close()
        return opened

    def _allow(self, more: int) -> None:
        if self._base:
            _limit(resource.RLIMIT_AS, _address_space() + MEMORY + more)

    @property
    def grown(self) -> bool:
        """Whether much more memory is in use than in the beginning."""
        return _address_space() - self._base > GROWN


def _share(handle: int, image: npt.NDArray[Any]) -> None:
    view = image.reshape(-1).view(np.uint8).data
    done = 0
    while done < len(view):
        done += os.pwrite(handle, view[done:], done)


def main(share: int) -> None:
    """Answer until the standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    output = os.fdopen(os.dup(1), "wb")
    # What libraries print must not come between the answers.
    os.dup2(2, 1)
    reader = _Reader()
    for line in sys.stdin.buffer:
        answer, image = reader.answer(json.loads(line))
        if image is not None:
            _share(share, image)
        try:
            output.write(json.dumps(answer).encode() + b"\n")
            output.flush()
        except BrokenPipeError:
            # Whoever asked is gone.
            os._exit(0)
        if reader.grown:
            return


if __name__ == "__main__":
    main(int(sys.argv[1]))

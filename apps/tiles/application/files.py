"""What lies below /zarr/: the files of current images, with ranges, for any Zarr reader."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from apps.tiles.application.responses import (
    NOSNIFF,
    Header,
    Refusal,
    Response,
    Send,
    is_fresh,
    not_found,
    not_modified,
)
from apps.tiles.application.waiting import on_thread
from apps.tiles.selectors.images import ServedImage

# Nothing else of an image's folder can be asked for, whatever lies there.
FILES = re.compile(r"/(?:zarr\.json|\d{1,2}/zarr\.json|\d{1,2}/c(?:/\d{1,7}){5})")
RANGE = re.compile(rb"bytes=(\d{0,18})-(\d{0,18})")
PIECE = 1024 * 1024
# The address has no version in it, so clients ask again; the tag makes that cheap.
REVALIDATE = b"private, no-cache"


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes [start, stop) of a file; `whole` if that is what was asked for."""

    start: int
    stop: int
    whole: bool


def range_parse(header: bytes | None, size: int) -> Part:
    """Return the part of a file of `size` bytes that a Range header asks for.

    What is not one range of bytes is ignored, as the standard wants.

    Raises
    ------
    Refusal
        416: the range lies outside.
    """
    found = None if header is None else RANGE.fullmatch(header.strip())
    if found is None or not (found[1] or found[2]):
        return Part(0, size, whole=True)
    if not found[1]:
        start, stop = max(size - int(found[2]), 0), size
    else:
        start = int(found[1])
        if found[2] and int(found[2]) < start:
            return Part(0, size, whole=True)
        stop = min(int(found[2]) + 1, size) if found[2] else size
    if start >= stop:
        total = (b"content-range", f"bytes */{size}".encode())
        raise Refusal(416, "range", f"the range lies outside the file of {size} bytes", (total,))
    return Part(start, stop, whole=False)


def _open(path: Path) -> tuple[int, int] | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
    return descriptor, os.fstat(descriptor).st_size


async def _pieces(descriptor: int, part: Part) -> AsyncIterator[bytes]:
    position = part.start
    while position < part.stop:
        data = await on_thread(os.pread, descriptor, min(PIECE, part.stop - position), position)
        if not data:
            # The answer has begun: only a broken connection can still say that it is wrong.
            raise ConnectionAbortedError("a file became shorter while it was sent")
        position += len(data)
        yield data


async def serve(
    image: ServedImage, rest: str, headers: dict[bytes, bytes], send: Send, *, head: bool
) -> None:
    """Send a file of an image, or a part of it; raises Refusal before anything was sent."""
    if not image.is_current or FILES.fullmatch(rest) is None:
        raise not_found()
    opened = await on_thread(_open, image.folder / rest[1:])
    if opened is None:
        raise not_found("there is no such file: empty chunks are not stored")
    descriptor, size = opened
    try:
        etag = f'"{image.key}-{rest[1:].replace("/", ".")}-{size}"'.encode()
        if is_fresh(headers, etag):
            await not_modified(etag, REVALIDATE).send(send)
            return
        wanted = headers.get(b"range")
        if headers.get(b"if-range", etag) != etag:
            wanted = None
        part = range_parse(wanted, size)
        kind = b"application/json" if rest.endswith(".json") else b"application/octet-stream"
        about: tuple[Header, ...] = (
            (b"content-type", kind),
            (b"cache-control", REVALIDATE),
            (b"accept-ranges", b"bytes"),
            (b"etag", etag),
        )
        await _send_part(descriptor, part, size, about, send, head=head)
    finally:
        os.close(descriptor)


async def _send_part(
    descriptor: int, part: Part, size: int, about: tuple[Header, ...], send: Send, *, head: bool
) -> None:
    status = 200
    if not part.whole:
        status = 206
        said = f"bytes {part.start}-{part.stop - 1}/{size}".encode()
        about = (*about, (b"content-range", said))
    length = part.stop - part.start
    if head or length <= PIECE:
        body = b""
        if length and not head:
            body = await on_thread(os.pread, descriptor, length, part.start)
        if head:
            start = [*about, NOSNIFF, (b"content-length", str(length).encode())]
            await send({"type": "http.response.start", "status": status, "headers": start})
            await send({"type": "http.response.body", "body": b""})
            return
        await Response(status, body, about).send(send)
        return
    start = [*about, NOSNIFF, (b"content-length", str(length).encode())]
    await send({"type": "http.response.start", "status": status, "headers": start})
    async for piece in _pieces(descriptor, part):
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})

"""What lies below /tiles/: stored chunks verbatim or as grey JPEG, and vector outlines."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import parse_qs

from apps.tiles.application.responses import (
    IMMUTABLE,
    Refusal,
    Response,
    is_fresh,
    not_found,
    not_modified,
)
from apps.tiles.application.waiting import on_thread
from apps.tiles.selectors.images import ServedImage
from apps.tiles.selectors.rendering import Window, grey_jpeg, window_parse
from gpu_workers.errors import UserError
from gpu_workers.storage.chunks import ShardReader, WouldBlock, decode

CHUNK = re.compile(r"/(\d{1,2})/(\d{1,7})/(\d{1,4})/(\d{1,6})/(\d{1,7})/(\d{1,7})")
VECTORS = re.compile(r"/(\d{1,2})/(\d{1,7})/(\d{1,7})\.mvt")
PLANE = re.compile(rb"(?:t=(\d{1,6}))?&?(?:z=(\d{1,6}))?")
MAX_OBJECTS = 2000
TILE = 512

reader = ShardReader()


async def answer(
    image: ServedImage, rest: str, query: bytes, headers: dict[bytes, bytes]
) -> Response:
    """Answer for the part of a path that follows the version's key; raises Refusal."""
    found = CHUNK.fullmatch(rest)
    if found is not None:
        level, *index = map(int, found.groups())
        if level >= len(image.levels):
            raise not_found()
        if query:
            return await _jpeg(image, level, tuple(index), query, headers)
        return await _chunk(image, level, tuple(index), headers)
    found = VECTORS.fullmatch(rest)
    if found is not None and image.object_type is not None:
        level, y, x = map(int, found.groups())
        return await _outlines(image, level, y, x, query, headers)
    raise not_found()


def _etag(image: ServedImage, *parts: int) -> bytes:
    """Return the tag of something at an immutable address: the address says it all."""
    return f'"{image.key}-{".".join(map(str, parts))}"'.encode()


async def _read(folder: Path, index: tuple[int, ...]) -> bytes:
    """Return a stored chunk; from memory at once, from the disk on a thread."""
    try:
        data = reader.read_cached(folder, index)
    except WouldBlock:
        data = await on_thread(reader.read, folder, index)
    if data is None:
        # An immutable version stays without this chunk, so that may be remembered for a while.
        raise Refusal(
            404,
            "no_chunk",
            "there are no pixels here",
            ((b"cache-control", b"private, max-age=3600"),),
        )
    return data


async def _chunk(
    image: ServedImage, level: int, index: tuple[int, ...], headers: dict[bytes, bytes]
) -> Response:
    etag = _etag(image, level, *index)
    if is_fresh(headers, etag):
        return not_modified(etag, IMMUTABLE)
    data = await _read(image.levels[level], index)
    return Response(
        200,
        data,
        (
            (b"content-type", b"application/octet-stream"),
            (b"cache-control", IMMUTABLE),
            (b"etag", etag),
        ),
    )


def _encode(folder: Path, data: bytes, window: Window) -> bytes:
    return grey_jpeg(decode(reader.array(folder), data), window)


async def _jpeg(
    image: ServedImage,
    level: int,
    index: tuple[int, ...],
    query: bytes,
    headers: dict[bytes, bytes],
) -> Response:
    asked = parse_qs(query.decode("latin-1"), max_num_fields=8)
    if asked.get("format", [""])[-1] != "jpeg" or image.object_type is not None:
        raise Refusal(400, "invalid", "the only other format of a chunk of pixels is jpeg")
    channel = index[1]
    if channel >= len(image.channels):
        raise not_found()
    try:
        window = window_parse(
            image.channels[channel], asked.get("low", [None])[-1], asked.get("high", [None])[-1]
        )
    except UserError as error:
        raise Refusal(400, error.code, error.message) from error
    etag = _etag(image, level, *index)[:-1] + f'-{window.low:.9g}-{window.high:.9g}"'.encode()
    if is_fresh(headers, etag):
        return not_modified(etag, IMMUTABLE)
    folder = image.levels[level]
    data = await on_thread(_encode, folder, await _read(folder, index), window)
    return Response(
        200,
        data,
        ((b"content-type", b"image/jpeg"), (b"cache-control", IMMUTABLE), (b"etag", etag)),
    )


def _vectors(image: ServedImage, y: int, x: int, size: int, t: int, z: int) -> bytes | None:
    from gpu_workers.storage import outlines

    try:
        return outlines.tile(
            image.root,
            image.manifest,
            image.type_name,
            image.plate_id,
            y,
            x,
            size,
            limit=MAX_OBJECTS,
            t=t,
            z=z,
        )
    except outlines.TooManyObjects:
        return None


async def _outlines(
    image: ServedImage, level: int, y: int, x: int, query: bytes, headers: dict[bytes, bytes]
) -> Response:
    if level >= len(image.levels):
        raise not_found()
    plane = PLANE.fullmatch(query)
    if plane is None:
        raise Refusal(400, "invalid", "the query of an outline tile is t=…&z=… or empty")
    t, z = int(plane[1] or 0), int(plane[2] or 0)
    etag = _etag(image, level, t, z, y, x)
    if is_fresh(headers, etag):
        return not_modified(etag, IMMUTABLE)
    size = TILE << level
    data = await on_thread(_vectors, image, y * size, x * size, size, t, z)
    if data is None:
        raise Refusal(
            413,
            "too_many_objects",
            f"more than {MAX_OBJECTS} objects in this tile: use a finer level, or the label tiles",
            ((b"cache-control", b"private, max-age=3600"),),
        )
    return Response(
        200,
        data,
        (
            (b"content-type", b"application/vnd.mapbox-vector-tile"),
            (b"cache-control", IMMUTABLE),
            (b"etag", etag),
        ),
    )

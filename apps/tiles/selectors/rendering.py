"""Pictures and pixel values of mosaics: regions at any size, channels blended as the map does."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from apps.accounts.models import User
from apps.core.errors import Invalid, NotFound
from apps.experiments.selectors import mosaic_get
from apps.tiles.selectors.images import ServedChannel, mosaic_channels, mosaic_folder
from gpu_workers.errors import UserError
from gpu_workers.storage.chunks import ShardReader, decode

MAX_SIZE = 2048
MAX_CHANNELS = 16
JPEG_QUALITY = 85

reader = ShardReader(64)


@dataclass(frozen=True, slots=True)
class Window:
    """The stored values that become black and full brightness."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class ShownChannel:
    """A channel of a picture; values in the original's units, None: the channel's own window."""

    index: int
    low: str | None = None
    high: str | None = None
    color: str | None = None


@dataclass(frozen=True, slots=True)
class Region:
    """A part of a plate in pixels of full resolution; None: to the end."""

    y: int
    x: int
    height: int | None
    width: int | None
    t: int = 0
    z: int = 0


def _number(text: str, name: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UserError(f"{name} must be a number, not {text[:40]!r}", code="invalid")
    return value


def window_parse(channel: ServedChannel, low: str | None, high: str | None) -> Window:
    """Return a window given in original units; what is None comes from the channel's own window.

    Raises
    ------
    UserError
        Not numbers, or the lower limit isn't below the upper one.
    """
    bottom = channel.window[0] if low is None else _number(low, "low")
    top = channel.window[1] if high is None else _number(high, "high")
    if not bottom < top:
        raise UserError(f"the window from {bottom:g} to {top:g} is empty", code="invalid")
    return Window((bottom - channel.offset) / channel.scale, (top - channel.offset) / channel.scale)


@lru_cache(64)
def _table(low: float, high: float) -> NDArray[np.uint8]:
    values = (np.arange(65536) - low) * (255 / (high - low))
    table: NDArray[np.uint8] = np.clip(np.floor(values + 0.5), 0, 255).astype(np.uint8)
    return table


def grey_jpeg(pixels: NDArray[Any], window: Window) -> bytes:
    """Return uint16 pixels as an 8-bit grey JPEG."""
    import simplejpeg

    grey = _table(window.low, window.high)[pixels]
    encoded: bytes = simplejpeg.encode_jpeg(
        grey[..., None], JPEG_QUALITY, colorspace="GRAY", colorsubsampling="GRAY"
    )
    return encoded


def region_read(
    level: Path, place: tuple[int, int, int], box: tuple[int, int, int, int], missing: int = 0
) -> NDArray[Any]:
    """Return the pixels [y0, y1) x [x0, x1) of one plane of a level; `missing` where there are none.

    Raises
    ------
    FileError
        A damaged or missing array.
    """
    array = reader.array(level)
    y0, x0, y1, x1 = box
    out = np.full((y1 - y0, x1 - x0), missing, np.dtype(array.dtype))
    tile_y, tile_x = array.chunk[-2:]
    height, width = array.shape[-2:]
    top, left, bottom, right = max(y0, 0), max(x0, 0), min(y1, height), min(x1, width)
    for cy in range(top // tile_y, -(-bottom // tile_y)):
        for cx in range(left // tile_x, -(-right // tile_x)):
            data = reader.read(level, (*place, cy, cx))
            if data is None:
                continue
            a, b = max(top, cy * tile_y), max(left, cx * tile_x)
            c, d = min(bottom, (cy + 1) * tile_y), min(right, (cx + 1) * tile_x)
            tile = decode(array, data)
            out[a - y0 : c - y0, b - x0 : d - x0] = tile[
                a - cy * tile_y : c - cy * tile_y, b - cx * tile_x : d - cx * tile_x
            ]
    return out


def channels_parse(text: str | None) -> tuple[ShownChannel, ...]:
    """Read ``index[:low:high[:rrggbb]]`` separated by commas; nothing: no channel named.

    Raises
    ------
    Invalid
        Anything else.
    """
    shown: list[ShownChannel] = []
    for entry in (text or "").split(",") if text else []:
        parts = entry.split(":")
        color = parts[3].lstrip("#") if len(parts) == 4 else None
        is_color = color is None or (len(color) == 6 and _is_hexadecimal(color))
        if len(parts) not in (1, 3, 4) or not parts[0].isdecimal() or not is_color:
            raise Invalid(
                f"channels: {entry[:60]!r} is not index, index:low:high or index:low:high:rrggbb"
            )
        low, high = (parts[1], parts[2]) if len(parts) > 1 else (None, None)
        shown.append(ShownChannel(int(parts[0]), low or None, high or None, color))
    if len(shown) > MAX_CHANNELS:
        raise Invalid(f"channels: at most {MAX_CHANNELS} at once")
    return tuple(shown)


def _is_hexadecimal(text: str) -> bool:
    return all(c in "0123456789abcdefABCDEF" for c in text)


def _place(shape: list[int], region: Region, channel: int) -> tuple[int, int, int]:
    for name, value, size in (
        ("t", region.t, shape[0]),
        ("channels", channel, shape[1]),
        ("z", region.z, shape[2]),
    ):
        if not 0 <= value < size:
            raise Invalid(f"{name}: {value} is not one of 0 to {size - 1}")
    return region.t, channel, region.z


def _scaled(pixels: NDArray[Any], height: int, width: int) -> NDArray[np.float32]:
    import cv2

    shrinks = height <= pixels.shape[0] and width <= pixels.shape[1]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_NEAREST
    scaled = cv2.resize(pixels.astype(np.float32), (width, height), interpolation=method)
    return np.asarray(scaled, np.float32)


def _blended(
    mosaic: Any, folder: Path, region: Region, shown: tuple[ShownChannel, ...], size: int
) -> NDArray[np.uint8]:
    """Return an RGB picture whose longer side has at most `size` pixels."""
    info = mosaic.info
    levels = info["levels"]
    channels = mosaic_channels(info)
    height = levels[0]["height"] - region.y if region.height is None else region.height
    width = levels[0]["width"] - region.x if region.width is None else region.width
    if min(height, width) < 1:
        raise Invalid("the region is empty")
    factor = min(size / max(height, width), 1.0)
    level = min(max(math.floor(-math.log2(factor)), 0), len(levels) - 1)
    out_height, out_width = (max(round(n * factor), 1) for n in (height, width))
    side = 1 << level
    box = (
        region.y // side,
        region.x // side,
        -(-(region.y + height) // side),
        -(-(region.x + width) // side),
    )
    if max(box[2] - box[0], box[3] - box[1]) > 4 * MAX_SIZE:
        raise Invalid("the region is much larger than the plate")
    shown = shown or tuple(ShownChannel(i) for i in range(min(len(channels), MAX_CHANNELS)))
    layers = []
    for each in shown:
        place = _place(info["shape"], region, each.index)
        window = window_parse(channels[each.index], each.low, each.high)
        stated = next(c for c in info["channels"] if c["index"] == each.index)
        brightfield = bool(stated.get("brightfield", False))
        missing = np.iinfo(np.uint16).max if brightfield else 0
        pixels = region_read(folder / str(levels[level]["path"]), place, box, missing)
        pixels = _scaled(pixels, out_height, out_width)
        brightness = np.clip((pixels - window.low) / (window.high - window.low), 0, 1)
        color = bytes.fromhex(each.color or stated["color"].lstrip("#"))
        layers.append((brightfield, brightness, np.frombuffer(color, np.uint8)))
    return _composed(layers, (out_height, out_width))


def _composed(
    layers: list[tuple[bool, NDArray[np.float32], NDArray[np.uint8]]], shape: tuple[int, int]
) -> NDArray[np.uint8]:
    """Return channels (brightfield?, brightness, colour) as one picture, as the map shows them.

    Light of fluorescence adds up from black; brightfield takes its light away from white.
    """
    is_white = any(brightfield for brightfield, _, _ in layers)
    picture = np.full((*shape, 3), 255.0 if is_white else 0.0, np.float32)
    for brightfield, brightness, color in layers:
        if brightfield:
            picture -= (1 - brightness[..., None]) * color
    np.maximum(picture, 0, out=picture)
    for brightfield, brightness, color in layers:
        if not brightfield:
            picture += brightness[..., None] * color
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def mosaic_render(
    *,
    user: User,
    experiment_id: UUID,
    mosaic_id: UUID,
    region: Region,
    channels: str | None,
    size: int,
    kind: Literal["png", "jpeg"],
) -> bytes:
    """Return an encoded picture of a region of a mosaic.

    The level is the coarsest that has at least the resolution of the picture, so that a whole plate
    costs no more than one well.

    Raises
    ------
    NotFound
        The mosaic may not be seen.
    Invalid
        An impossible region, channel or window.
    """
    import cv2
    import simplejpeg

    mosaic = mosaic_get(user=user, experiment_id=experiment_id, mosaic_id=mosaic_id)
    picture = _blended(mosaic, mosaic_folder(mosaic), region, channels_parse(channels), size)
    if kind == "jpeg":
        jpeg: bytes = simplejpeg.encode_jpeg(picture, JPEG_QUALITY, colorspace="RGB")
        return jpeg
    _, png = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    return bytes(png)


def mosaic_pixels(
    *, user: User, experiment_id: UUID, mosaic_id: UUID, y: int, x: int, t: int = 0, z: int = 0
) -> list[dict[str, Any]]:
    """Return each channel's value at one pixel, in original units; None where there is no pixel.

    Raises
    ------
    NotFound
        The mosaic may not be seen, or the place lies outside it.
    """
    mosaic = mosaic_get(user=user, experiment_id=experiment_id, mosaic_id=mosaic_id)
    level = mosaic_folder(mosaic) / str(mosaic.info["levels"][0]["path"])
    array = reader.array(level)
    tile_y, tile_x = array.chunk[-2:]
    if not (0 <= y < array.shape[-2] and 0 <= x < array.shape[-1]):
        raise NotFound("this place lies outside the plate")
    found = []
    for index, channel in enumerate(mosaic_channels(mosaic.info)):
        place = _place(mosaic.info["shape"], Region(y, x, 1, 1, t, z), index)
        data = reader.read(level, (*place, y // tile_y, x // tile_x))
        value = None
        if data is not None:
            stored = int(decode(array, data)[y % tile_y, x % tile_x])
            value = stored * channel.scale + channel.offset
        found.append({"channel": index, "value": value})
    return found

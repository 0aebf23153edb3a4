"""LIF files of Leica microscopes: series of a project, with mosaics, z stacks and time series."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, Final, cast

import numpy as np
import numpy.typing as npt

from gpu_workers.errors import FileError
from gpu_workers.formats.contents import MAX_PAGES, MAX_PLANE_PIXELS, ImageContent
from gpu_workers.formats.files.leica_metadata import (
    Channel,
    Dimension,
    channel_facts,
    channels_of,
    dimensions_of,
    places,
    setting_of,
    tiles_of,
)
from gpu_workers.formats.files.opening import damaged
from gpu_workers.formats.listing import open_below, shown

MAX_XML: Final = 256 * 2**20
# Numbers of dimensions in LIF files.
_X, _Y, _Z, _T, _M = 1, 2, 3, 4, 10
_SPECTRAL: Final = (5, 9)
_MERGED: Final = re.compile(r"[ _]Merg(?:ed|ing)(?:_\d+)?$")


@dataclass(frozen=True, slots=True)
class _Series:
    """One image of the file: where its planes lie.

    Attributes
    ----------
    offset, size
        Of its pixels in the file, bytes.
    tiles, times, spectra
        Dimensions that count tiles, time points and channels, the outermost first.
    grey
        Channels that are planes of their own; empty for colour images, whose three are `colors`.
    """

    image: Any
    path: str
    offset: int
    size: int
    x: Dimension
    y: Dimension
    z: Dimension | None
    tiles: tuple[Dimension, ...]
    times: tuple[Dimension, ...]
    spectra: tuple[Dimension, ...]
    grey: tuple[Channel, ...]
    colors: tuple[Channel, ...]

    @property
    def n_c(self) -> int:
        return max(len(self.grey), 1) * _count(self.spectra)

    @property
    def n_z(self) -> int:
        return 1 if self.z is None else self.z.n

    @property
    def dtype(self) -> str:
        return (self.grey or self.colors)[0].dtype

    @property
    def n_pages(self) -> int:
        return _count(self.tiles) * _count(self.times) * self.n_c * self.n_z

    def at(self, page: int, sample: int) -> tuple[int, Channel]:
        """Return the offset of a plane's first pixel in the series, and its channel."""
        page, z = divmod(page, self.n_z)
        page, spectrum = divmod(page, _count(self.spectra))
        page, channel = divmod(page, max(len(self.grey), 1))
        tile, time = divmod(page, _count(self.times))
        found = self.grey[channel] if self.grey else self.colors[sample]
        offset = found.step + (0 if self.z is None else z * self.z.step)
        for dimensions, index in (
            (self.spectra, spectrum), (self.times, time), (self.tiles, tile),
        ):  # fmt: skip
            for dimension in reversed(dimensions):
                index, at = divmod(index, dimension.n)
                offset += at * dimension.step
        return offset, found


class _Nameless:
    """A file as the library reads it: without a name, so that it looks for no files beside it."""

    def __init__(self, stream: BinaryIO):
        self.read, self.seek, self.tell = stream.read, stream.seek, stream.tell


class LifFile:
    """A LIF file: each series, and each tile of a mosaic, is an image."""

    suffixes: ClassVar = (".lif",)
    guarded: ClassVar = True

    def __init__(self, folder: Path, file: str):
        import liffile

        self._file = file
        self._handle = open_below(folder, file)
        try:
            self._size = self._handle.seek(0, 2)
            self._check_xml()
            self._lif = liffile.LifFile(cast("Any", _Nameless(self._handle)), squeeze=False)
            self._series = list(self._usable())
        except BaseException:
            self._handle.close()
            raise
        ends = np.cumsum([s.n_pages for s in self._series])
        self._starts = [0, *(int(e) for e in ends)]

    def contents(self) -> tuple[ImageContent, ...]:
        """Return an image for each series and tile."""
        if self._starts[-1] > MAX_PAGES:
            raise damaged(self._file, f"it claims {self._starts[-1]} planes", "too_large")
        found = places([s.path for s in self._series])
        images: list[ImageContent] = []
        for series, start, (well, site) in zip(self._series, self._starts, found, strict=False):
            common = replace(_common(series), well=well)
            count = _count(series.tiles)
            positions = tiles_of(series.image, count)
            for tile in range(count):
                first = start + tile * (series.n_pages // count)
                y, x = positions[tile]
                parts = [site] * bool(site) + [str(tile + 1)] * (count > 1)
                placed = replace(common, site="-".join(parts) or None, stage_y_um=y, stage_x_um=x)
                images.append(_timed(placed, first, _seconds(series)))
        return tuple(images)

    def read(self, page: int, sample: int = 0) -> npt.NDArray[Any]:
        """Return one plane, or one colour component of it."""
        index = bisect_right(self._starts, page) - 1
        if not 0 <= page < self._starts[-1] or not 0 <= index < len(self._series):
            name = shown(self._file)
            raise FileError(
                f"{name} has {self._starts[-1]} planes, not {page + 1}",
                code="missing_page", files=(name,),
            )  # fmt: skip
        series = self._series[index]
        offset, channel = series.at(page - self._starts[index], sample)
        return self._plane(series, offset, np.dtype(channel.dtype).newbyteorder("<"))

    def plane_bytes(self, page: int) -> int:
        """Return the size a plane claims to have, with what lies between its pixels."""
        index = bisect_right(self._starts, page) - 1
        if not 0 <= index < len(self._series):
            return 0
        series = self._series[index]
        return min(abs(series.y.n * series.x.n), MAX_PLANE_PIXELS) * max(series.x.step, 4)

    def close(self) -> None:
        """Let the file go."""
        self._lif.close()
        self._handle.close()

    def _check_xml(self) -> None:
        """Raise FileError where the XML that describes the file is cut short, absurd or hostile."""
        self._handle.seek(0)
        head = self._handle.read(13)
        size = 2 * int.from_bytes(head[9:13], "little")
        if len(head) < 13 or 13 + size > self._size:
            raise damaged(self._file, f"it has {self._size} bytes of the {13 + size} it names")
        if size > MAX_XML:
            raise damaged(self._file, f"its metadata claims {size} bytes", "file_too_large")
        if "<!DOCTYPE".encode("utf-16-le") in self._handle.read(size):
            raise damaged(self._file, "its metadata declares entities", "bad_metadata")
        self._handle.seek(0)

    def _usable(self) -> Iterator[_Series]:
        """Yield the series that have an x and a y axis; fluorescence lifetimes are left out."""
        names = {image.path for image in self._lif.images}
        for image in self._lif.images:
            if _MERGED.sub("", image.path) in names - {image.path}:
                # The vendor's own mosaic of tiles that are here as well.
                continue
            dimensions = [
                d for d in dimensions_of(image.xml_element) if d.n > 1 or d.kind in (_X, _Y)
            ]
            channels = channels_of(image.xml_element)
            axes = {d.kind: d for d in dimensions}
            if image.is_flim or not {_X, _Y} <= set(axes) or not channels:
                continue
            if any(d.n < 1 or d.step < 0 for d in dimensions) or any(c.step < 0 for c in channels):
                raise damaged(self._file, f"the series {image.path} has a negative size")
            block = image.memory_block
            color = len(channels) == 3 and {c.tag for c in channels} == {1, 2, 3}
            yield _Series(
                image=image, path=image.path, offset=block.offset, size=block.size,
                x=axes[_X], y=axes[_Y], z=axes.get(_Z),
                tiles=tuple(d for d in dimensions if d.kind == _M),
                times=tuple(d for d in dimensions if d.kind not in (_X, _Y, _Z, _M, *_SPECTRAL)),
                spectra=tuple(d for d in dimensions if d.kind in _SPECTRAL),
                grey=() if color else tuple(channels),
                colors=tuple(sorted(channels, key=lambda c: c.tag)) if color else (),
            )  # fmt: skip

    def _plane(self, series: _Series, offset: int, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
        height, width, item = series.y.n, series.x.n, dtype.itemsize
        x_step, y_step = series.x.step, series.y.step
        row = (width - 1) * x_step + item
        span = (height - 1) * y_step + row
        if x_step < item or series.offset < 0 or height * width > MAX_PLANE_PIXELS:
            raise damaged(self._file, f"the series {series.path} has no sensible pixels")
        if offset + span > series.size or series.offset + offset + span > self._size:
            raise damaged(self._file, f"the pixels of {series.path} reach beyond its end")
        start = series.offset + offset
        if y_step >= row and span <= 2 * height * row:
            data = np.frombuffer(self._at(start, span), np.uint8)
            strides: tuple[int, ...] = (y_step, x_step, 1)
        else:
            rows = b"".join(self._at(start + y * y_step, row) for y in range(height))
            data = np.frombuffer(rows, np.uint8)
            strides = (row, x_step, 1)
        pixels = np.lib.stride_tricks.as_strided(data, (height, width, item), strides)
        return np.ascontiguousarray(pixels).view(dtype)[..., 0]

    def _at(self, position: int, size: int) -> bytes:
        self._handle.seek(position)
        data = self._handle.read(size)
        if len(data) != size:
            raise damaged(self._file, "it got shorter while it was read")
        return data


def _count(dimensions: tuple[Dimension, ...]) -> int:
    count = 1
    for dimension in dimensions:
        count *= dimension.n
    return count


def _common(series: _Series) -> ImageContent:
    """Return what holds for all tiles of a series."""
    time = series.times[0] if len(series.times) == 1 and series.times[0].kind == _T else None
    setting = setting_of(series.image.xml_element)
    same = {c.dtype for c in series.grey or series.colors}
    return ImageContent(
        height=series.y.n, width=series.x.n,
        dtype=series.dtype if len(same) == 1 else f"mixed ({', '.join(sorted(same))})",
        samples=3 if series.colors else 1,
        n_t=_count(series.times), n_c=series.n_c, n_z=series.n_z, name=series.path,
        pixel_size_um=series.x.spacing_um, z_step_um=None if series.z is None else series.z.spacing_um,
        t_step_s=None if time is None else time.spacing_s,
        channels=channel_facts(series.grey) if not series.spectra else (),
        objective=setting.objective, magnification=setting.magnification,
        brightfield=bool(series.colors), acquired_at=_started(series),
    )  # fmt: skip


def _timed(image: ImageContent, first: int, seconds: list[float]) -> ImageContent:
    """Return the image with its pages: by strides, or one by one where there are times."""
    n_c, n_z = image.n_c, image.n_z
    regular = replace(image, first_page=first, t_stride=n_c * n_z, c_stride=n_z, z_stride=1)
    if not seconds:
        return regular
    planes = tuple(replace(p, time_s=seconds[p.t]) for p in regular.each_plane())
    return replace(regular, planes=planes)


def _seconds(series: _Series) -> list[float]:
    """Return seconds from the first time point; nothing if the file doesn't say."""
    stamps = series.image.timestamps
    n_t = _count(series.times)
    if stamps is None or n_t < 2 or len(stamps) < n_t or len(stamps) % n_t:
        return []
    seconds = (stamps - stamps[0]).astype("timedelta64[ms]").astype(np.int64) / 1000
    return [float(s) for s in seconds[:: len(stamps) // n_t]]


def _started(series: _Series) -> str | None:
    stamps = series.image.timestamps
    if stamps is None or not len(stamps) or not 0 < stamps[0].astype(np.int64) < 2**42:
        return None
    return f"{np.datetime_as_string(stamps[0], 's')}+00:00"

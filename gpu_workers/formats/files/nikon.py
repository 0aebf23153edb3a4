"""ND2 files of Nikon microscopes: positions, time points, z planes and channels of one experiment."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from math import isfinite
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, Final

import numpy as np
import numpy.typing as npt

from gpu_workers.errors import FileError
from gpu_workers.formats.contents import MAX_PAGES, ImageContent, PlaneContent
from gpu_workers.formats.files.opening import damaged
from gpu_workers.formats.listing import open_below, shown
from gpu_workers.formats.survey import ChannelFacts, well_name, well_position

# So many frames are asked for their times: each is parsed on its own.
MAX_TIMED: Final = 5_000
_KINDS: Final = {"TimeLoop": "t", "NETimeLoop": "t", "XYPosLoop": "p", "ZStackLoop": "z"}
# A name such as B02_0001 or B2; P1 counts positions unless other rows occur as well.
_NAME: Final = re.compile(
    r"(?:Well)?[ _-]?([A-Za-z]{1,2}-?[0-9]{1,2})(?:[-_ #.]+(.*))?", re.IGNORECASE
)
_JULIAN_1970: Final = 2440587.5


class _Stream:
    """A file as the library reads it: what it cannot deliver is an error, not less than asked for.

    It has no file number, so that the library doesn't map it into memory, where a file that gets
    shorter ends the process.
    """

    closed = False

    def __init__(self, stream: BinaryIO):
        self._stream = stream
        self._size = stream.seek(0, 2)
        self.n_read = 0

    def read(self, size: int | None = -1) -> bytes:
        size = -1 if size is None else size
        left = self._size - self._stream.tell()
        if size > left:
            raise EOFError(f"it has {max(left, 0)} of {size} bytes")
        data = self._stream.read(size)
        self.n_read += len(data)
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()

    def close(self) -> None:
        self.closed = True


@dataclass(frozen=True, slots=True)
class _Loop:
    kind: str
    count: int
    loop: Any


class Nd2File:
    """An ND2 file: each position is an image; a page is a channel of a frame."""

    suffixes: ClassVar = (".nd2",)
    guarded: ClassVar = True

    def __init__(self, folder: Path, file: str):
        import nd2

        self._file = file
        self._handle = open_below(folder, file)
        try:
            self._stream = _Stream(self._handle)
            self._nd2 = nd2.ND2File(self._stream)
            attributes = self._nd2.attributes
            self._n_c = attributes.channelCount or 1
            self._samples = attributes.componentCount // self._n_c
            self._shape = (attributes.heightPx, attributes.widthPx or 0)
            self._dtype = str(self._nd2.dtype)
            self._experiment = self._nd2.experiment
        except BaseException:
            self._handle.close()
            raise
        self._frame: tuple[int, npt.NDArray[Any]] | None = None

    def contents(self) -> tuple[ImageContent, ...]:
        """Return an image for each position."""
        loops = self._loops()
        n = {k: int(np.prod([lo.count for lo in loops if lo.kind == k] or [1])) for k in "tpz"}
        if n["t"] * n["p"] * n["z"] * self._n_c > MAX_PAGES:
            raise damaged(
                self._file, f"it claims {n['t']} x {n['p']} x {n['z']} frames", "too_large"
            )
        common = self._common(loops, n)
        n_frames = self._nd2.attributes.sequenceCount
        frames = _frames(loops)
        times = self._times(loops, min(len(frames), n_frames))
        points: list[Any] = next((lo.loop.parameters.points for lo in loops if lo.kind == "p"), [])
        places = _places([p.name for p in points])
        corners = _corners(points, self._nd2.metadata.channels or [])
        by_position: list[list[PlaneContent]] = [[] for _ in range(n["p"])]
        for frame, (t, p, z) in enumerate(frames[:n_frames]):
            by_position[p].extend(
                PlaneContent(t, c, z, frame * self._n_c + c, time_s=times.get((t, p)))
                for c in range(self._n_c)
            )
        images = []
        for p, found in enumerate(by_position):
            planes = tuple(found)
            # There is none where the acquisition was ended before it came here.
            if planes and points:
                images.append(
                    _placed(replace(common, planes=planes), points[p], places[p], corners[p])
                )
            elif planes:
                images.append(replace(common, planes=planes))
        return tuple(images)

    def read(self, page: int, sample: int = 0) -> npt.NDArray[Any]:
        """Return one channel of a frame, or one colour component of it."""
        number, channel = divmod(page, self._n_c)
        if self._frame is None or self._frame[0] != number:
            self._frame = (number, self._read_frame(number))
        frame = self._frame[1]
        # Colour components are stored as blue, green, red.
        component = self._samples - 1 - sample if self._samples == 3 else sample
        return np.ascontiguousarray(frame[channel, :, :, component])

    def plane_bytes(self, page: int) -> int:  # noqa: ARG002
        """Return the size a frame claims to have."""
        height, width = self._shape
        return abs(height * width) * self._n_c * self._samples * np.dtype(self._dtype).itemsize

    def close(self) -> None:
        """Let the file go."""
        self._nd2.close()
        self._handle.close()

    def _read_frame(self, number: int) -> npt.NDArray[Any]:
        before = self._stream.n_read
        if 0 <= number < self._nd2.attributes.sequenceCount:
            frame: npt.NDArray[Any] = self._nd2.read_frame(number)
            # For a frame that isn't there the library reads nothing and makes up zeros.
            if self._stream.n_read > before:
                return frame.reshape(self._n_c, *self._shape, self._samples)
        name = shown(self._file)
        raise FileError(f"{name} has no frame {number + 1}", code="missing_page", files=(name,))

    def _loops(self) -> list[_Loop]:
        """Return the loops of the experiment, the outermost first."""
        found = []
        for loop in self._experiment:
            kind = _KINDS.get(loop.type)
            if kind is None or not 1 <= loop.count <= MAX_PAGES:
                raise damaged(
                    self._file, f"it has {loop.count} rounds of {loop.type}", "unsupported_type"
                )
            found.append(_Loop(kind, loop.count, loop))
        return found

    def _common(self, loops: list[_Loop], n: dict[str, int]) -> ImageContent:
        """Return what holds for all images of the file."""
        channels = self._nd2.metadata.channels or []
        facts = _channels(channels) if len(channels) == self._n_c else ()
        step = next((lo.loop.parameters.stepUm for lo in loops if lo.kind == "z"), None)
        content = ImageContent(
            height=self._shape[0], width=self._shape[1], dtype=self._dtype, samples=self._samples,
            n_t=n["t"], n_c=self._n_c, n_z=n["z"], channels=facts, brightfield=self._samples == 3,
            z_step_um=abs(step) if step and isfinite(step) else None, t_step_s=_period(loops),
        )  # fmt: skip
        if channels:
            volume, microscope = channels[0].volume, channels[0].microscope
            content = replace(
                content,
                pixel_size_um=_finite(volume.axesCalibration[0])
                if volume.axesCalibrated[0]
                else None,
                objective=microscope.objectiveName,
                magnification=_finite(microscope.objectiveMagnification),
            )
            content = replace(content, y_sign=_y_sign(volume.pixelToStageTransformationMatrix))
        first = _frame_facts(self._nd2, 0)
        if first is None:
            return content
        stage = first.position.stagePositionUm
        return replace(
            content,
            stage_y_um=_finite(stage.y),
            stage_x_um=_finite(stage.x),
            z_um=_finite(stage.z),
            acquired_at=_date(first.time),
        )

    def _times(self, loops: list[_Loop], n_frames: int) -> dict[tuple[int, int], float]:
        """Return seconds from the start of the acquisition for time points and positions."""
        times: dict[tuple[int, int], float] = {}
        for frame, (t, p, _) in enumerate(_frames(loops)[:n_frames]):
            if (t, p) in times or len(times) >= MAX_TIMED:
                continue
            found = _frame_facts(self._nd2, frame)
            if found is None:
                break
            taken = found.time.relativeTimeMs / 1000
            if isfinite(taken):
                times[(t, p)] = round(taken, 6)
        return times


def _frames(loops: list[_Loop]) -> list[tuple[int, int, int]]:
    """Return time point, position and z plane of each frame, in the order of their numbers."""
    if not loops:
        return [(0, 0, 0)]
    counts = [lo.count for lo in loops]
    at = {k: np.zeros(int(np.prod(counts)), np.int64) for k in "tpz"}
    for lo, index in zip(loops, np.indices(counts).reshape(len(counts), -1), strict=True):
        at[lo.kind] = at[lo.kind] * lo.count + index
    return list(zip(*(at[k].tolist() for k in "tpz"), strict=True))


def _frame_facts(file: Any, frame: int) -> Any:
    """Return time and position of a frame; None if it has none (the times may be fewer)."""
    try:
        return file.frame_metadata(frame).channels[0]
    except (IndexError, AttributeError, TypeError):
        return None


def _placed(
    image: ImageContent,
    point: Any,
    place: tuple[str | None, str],
    corner: tuple[int | None, int | None],
) -> ImageContent:
    """Return the image of a position with its well, site and place."""
    return replace(
        image,
        well=place[0],
        site=place[1] or None,
        name=point.name or None,
        stage_y_um=_finite(point.stagePositionUm.y),
        stage_x_um=_finite(point.stagePositionUm.x),
        y_px=corner[0],
        x_px=corner[1],
    )


def _corners(points: list[Any], channels: list[Any]) -> list[tuple[int | None, int | None]]:
    """Return where positions lie in px, from the file's own map of pixels to the stage.

    The map says in which direction the image moves when the stage does: many stages of this maker
    count x from right to left. Without it, or with one position, nothing is returned.
    """
    nothing: list[tuple[int | None, int | None]] = [(None, None)] * len(points)
    matrix = channels[0].volume.pixelToStageTransformationMatrix if channels else None
    if matrix is None or len(matrix) != 6 or len(points) < 2:
        return nothing
    linear = np.array([[matrix[0], matrix[1]], [matrix[3], matrix[4]]], float)
    stage = np.array([[p.stagePositionUm.x, p.stagePositionUm.y] for p in points], float)
    if not np.isfinite(linear).all() or abs(np.linalg.det(linear)) < 1e-12:
        return nothing
    px = np.linalg.solve(linear, (stage - stage[0]).T).T
    if not np.isfinite(px).all() or np.abs(px).max() > 2**31:
        return nothing
    return [(int(y), int(x)) for x, y in np.round(px)]


def _channels(channels: list[Any]) -> tuple[ChannelFacts, ...]:
    found: list[ChannelFacts] = []
    names: set[str] = set()
    for i, channel in enumerate(channels):
        meta = channel.channel
        name = meta.name or f"C{i + 1}"
        key = name if name not in names else f"{name} {i + 1}"
        names.add(key)
        color = meta.color
        flags = set(channel.microscope.modalityFlags or ())
        found.append(
            ChannelFacts(
                key=key, name=name,
                wavelength_nm=_finite(meta.emissionLambdaNm),
                excitation_nm=_finite(meta.excitationLambdaNm),
                color=f"#{color.r & 255:02x}{color.g & 255:02x}{color.b & 255:02x}",
                brightfield=not flags & {"fluorescence"}
                and bool(flags & {"brightfield", "phaseContrast", "diContrast", "darkfield"}),
            )
        )  # fmt: skip
    return tuple(found)


def _finite(value: float | None) -> float | None:
    return float(value) if value is not None and isfinite(value) else None


def _period(loops: list[_Loop]) -> float | None:
    for lo in loops:
        if lo.loop.type == "TimeLoop":
            parameters = lo.loop.parameters
            period = parameters.periodMs or getattr(parameters.periodDiff, "avg", 0)
            return period / 1000 if period and isfinite(period) and period > 0 else None
    return None


def _y_sign(matrix: tuple[float, ...] | None) -> int:
    """Return +1 where the stage's y grows downwards in the image, as the file's calibration says."""
    return -1 if matrix is not None and len(matrix) == 6 and matrix[4] < 0 else 1


def _date(time: Any) -> str | None:
    try:
        days = float(time.absoluteJulianDayNumber) - _JULIAN_1970
        return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=days)).isoformat("T", "seconds")
    except (AttributeError, TypeError, ValueError, OverflowError):
        return None


def _places(names: list[str | None]) -> list[tuple[str | None, str]]:
    """Return well and site of each position by its name, such as B02_0001.

    Wells are only believed where every position has one, and not where there is but a row P: names
    like P1, P2, … count positions.
    """
    matches = [_NAME.fullmatch((n or "").strip()) for n in names]
    rows = {m[1][0].upper() for m in matches if m is not None}
    wells: list[str] = []
    try:
        wells = [well_name(*well_position(m[1])) for m in matches if m is not None]
    except ValueError:
        wells = []
    if len(wells) != len(names) or rows == {"P"}:
        unique = len(set(names)) == len(names) and all(names)
        return [(None, (n or "") if unique else str(i + 1)) for i, n in enumerate(names)]
    rests = [m[2] or "" for m in matches if m is not None]
    keys = list(zip(wells, rests, strict=True))
    seen: dict[tuple[str, str], int] = {}
    found: list[tuple[str | None, str]] = []
    for key in keys:
        seen[key] = seen.get(key, 0) + 1
        number = str(seen[key])
        once = keys.count(key) == 1 if len(keys) < 10_000 else False
        found.append(
            (key[0], key[1] if once and key[1] else f"{key[1]}{'-' * bool(key[1])}{number}")
        )
    return found

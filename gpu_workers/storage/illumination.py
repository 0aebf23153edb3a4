"""Illumination statistics on disk; entry points: `load_correction`, `save_channel`, `save_manifest`.

One ``.npz`` per channel below ``illumination/<key>/``, pictures beside it, and a manifest, written last,
that says from how many images each was estimated and what it may be used for. What is in the files:

- ``raw_mean``, ``raw_std``: of log10 intensities, exact; ``mean``, ``std``: smoothed; ``percentiles``: of the
  intensities, at 0, 0.1, … 100 %; float32 (height, width) and float64 (1001,).
- ``flat``, ``dark`` (if `methods` has "basic"): small fields, at most 128 x 128, mean of `flat` 1.
- ``vendor_flat``, ``vendor_dark`` (if `methods` has "vendor"): the microscope's own, (height, width).
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gpu_workers.errors import DataMissing, FileError, UserError
from gpu_workers.imaging.illumination.correction import (
    Choice,
    Correction,
    IlluminationStatistics,
    LogMoments,
    Method,
    choose_method,
)
from gpu_workers.imaging.illumination.flatfield import LEAST_FLAT, enlarged
from gpu_workers.imaging.illumination.intensities import IntensityHistogram
from gpu_workers.messages import Message
from gpu_workers.storage import paths
from gpu_workers.storage.layout import Layout

PERCENTILES = np.linspace(0, 100, 1001)


class ChannelIllumination(Message):
    """What the manifest says of one channel.

    Attributes
    ----------
    n_images
        Images that the estimates stand on; `n_flatfield` of them for flat and dark field.
    n_sites
        Sites they are of: images of one site at other times or heights share their content.
    n_left_out
        Images with NaN or infinite pixels.
    methods
        Corrections there are estimates for, whatever the number of images.
    method
        The one that "auto" takes; None where there are too few images.
    shading
        Brightest over darkest place (`flatfield_quality.shading`) of the images as they are.
    residual_shading
        The same after correction, by method, of images that each estimate has not seen: half of the
        images are corrected by what the other half tells.
    residual
        Root mean square of the relative difference of the corrections that either half tells.
    profile
        How bright rows (``y_before``, ``y_after``) and columns (``x_before``, ``x_after``) of these images are,
        relative to their mean, at evenly spaced places.
    darkfield
        Whether there is a dark field.
    vendor_problem
        Why the microscope's own profile cannot be used.
    pictures
        PNG files: ``before_after`` (a typical image), ``light`` (brightness of each place, before and
        after), ``fields`` (flat and dark field).
    """

    index: int
    name: str
    path: str | None
    n_images: int
    n_sites: int = 0
    n_left_out: int = 0
    n_flatfield: int = 0
    shape: tuple[int, int] | None = None
    smoothed_sigma: float = 0.0
    methods: tuple[Method, ...] = ("std", "flat")
    method: Method | None = None
    darkfield: bool = False
    shading: float | None = None
    residual_shading: dict[str, float] = {}
    residual: float | None = None
    profile: dict[str, tuple[float, ...]] = {}
    percentiles: dict[str, float] = {}
    pictures: dict[str, str] = {}
    vendor_problem: str | None = None
    warning: str | None = None


class IlluminationManifest(Message):
    """``illumination.json``."""

    version: Literal[1] = 1
    key: str
    layout: str
    sampled: int
    channels: tuple[ChannelIllumination, ...]

    def channel(self, index: int) -> ChannelIllumination:
        """Return a channel's entry.

        Raises
        ------
        DataMissing
            The channel has none.
        """
        for channel in self.channels:
            if channel.index == index:
                return channel
        raise DataMissing(f"there are no illumination statistics of channel {index}")


def manifest_path(key: str) -> str:
    """Path of the manifest below the experiment's folder."""
    return f"{paths.illumination_folder(key)}/illumination.json"


def channel_path(key: str, index: int) -> str:
    """Path of a channel's statistics below the experiment's folder."""
    return f"{paths.illumination_folder(key)}/channel-{index}.npz"


def picture_path(key: str, index: int, name: str) -> str:
    """Path of a channel's picture below the experiment's folder."""
    return f"{paths.illumination_folder(key)}/channel-{index}-{name.replace('_', '-')}.png"


def part_path(key: str, index: int, part: int, parts: int) -> str:
    """Path of what one of the run jobs accumulated for a channel."""
    return f"{paths.illumination_folder(key)}/parts/{index}-{part}of{parts}.npz"


def write_arrays(path: Path, **arrays: NDArray[Any]) -> None:
    """Write arrays as one ``.npz``, atomically."""
    stream = io.BytesIO()
    np.savez(stream, **arrays)  # type: ignore[arg-type]
    paths.write_atomically(path, stream.getvalue())


@dataclass(slots=True)
class Part:
    """What one job, or all jobs together, accumulated of a channel's images.

    Attributes
    ----------
    small
        Shrunk images, float32 (n, height, width), in the order of `places`.
    places
        Their places in the channel's sample.
    groups
        For every image that was read a number of its site.
    """

    moments: LogMoments
    histogram: IntensityHistogram
    small: NDArray[np.float32]
    places: NDArray[np.int64]
    groups: NDArray[np.int64]
    n_left_out: int = 0

    def merge(self, other: Part) -> Part:
        """Return both together."""
        return Part(
            self.moments.merge(other.moments),
            self.histogram.merge(other.histogram),
            np.concatenate([self.small, other.small]),
            np.concatenate([self.places, other.places]),
            np.concatenate([self.groups, other.groups]),
            self.n_left_out + other.n_left_out,
        )


def save_part(path: Path, part: Part) -> None:
    """Write what one job accumulated."""
    write_arrays(
        path,
        n=np.array(part.moments.n),
        mean=part.moments.mean,
        m2=part.moments.m2,
        counts=part.histogram.counts,
        floating=np.array(part.histogram.floating),
        small=part.small,
        places=part.places,
        groups=part.groups,
        n_left_out=np.array(part.n_left_out),
    )


def load_part(path: Path) -> Part:
    """Read what `save_part` wrote."""
    with np.load(path) as data:
        return Part(
            LogMoments(int(data["n"]), data["mean"], data["m2"]),
            IntensityHistogram(bool(data["floating"]), data["counts"]),
            data["small"],
            data["places"],
            data["groups"],
            int(data["n_left_out"]),
        )


def save_channel(
    path: Path,
    moments: LogMoments,
    smoothed: IlluminationStatistics,
    percentiles: NDArray[np.float64],
    **fields: NDArray[np.float32],
) -> None:
    """Write a channel's statistics and its `fields` (flat, dark, vendor_flat, vendor_dark)."""
    write_arrays(
        path,
        n_images=np.array(moments.n),
        raw_mean=moments.mean.astype(np.float32),
        raw_std=moments.std().astype(np.float32),
        mean=smoothed.mean,
        std=smoothed.std,
        percentiles=percentiles,
        **fields,
    )


def save_manifest(root: Path, manifest: IlluminationManifest) -> str:
    """Write the manifest (last of a version's files) and return its path below `root`."""
    path = manifest_path(manifest.key)
    paths.write_json(root / path, manifest.model_dump(mode="json"))
    return path


def load_manifest(root: Path, path: str) -> IlluminationManifest:
    """Read a manifest named by ``inputs["illumination"]``."""
    return IlluminationManifest.model_validate_json((root / path).read_bytes())


def load_correction(
    root: Path, path: str, channel: int, method: Choice = "auto", *, force: bool = False
) -> Correction:
    """Return the correction of a channel's images.

    Parameters
    ----------
    path
        The manifest, ``inputs["illumination"]``.
    method
        "auto": the best that the number of images allows.
    force
        Correct although the estimates stand on too few images.

    Raises
    ------
    UserError
        Too few images (``too_few_images``).
    DataMissing
        There is no such estimate of that channel.
    """
    entry = load_manifest(root, path).channel(channel)
    return read_correction(root, entry, _method(entry, method, force=force))


def read_correction(root: Path, entry: ChannelIllumination, method: Method) -> Correction:
    """Return a correction that a channel's entry says there is; raises FileError if it is damaged."""
    try:
        with np.load(root / str(entry.path)) as data:
            return _correction(data, entry, method)
    except (OSError, ValueError, KeyError) as error:
        raise FileError(
            f"the illumination statistics {entry.path} cannot be read", files=(str(entry.path),)
        ) from error


def _method(entry: ChannelIllumination, method: Choice, *, force: bool) -> Method:
    if entry.path is None:
        raise DataMissing(
            f"no image of channel {entry.name!r} could be used to estimate illumination"
        )
    try:
        return choose_method(entry.n_images, entry.methods, method, force=force)
    except UserError as error:
        message = f"channel {entry.name!r}: {error.message}"
        raise type(error)(message, code=error.code) from error


def _correction(
    data: Mapping[str, NDArray[Any]], entry: ChannelIllumination, method: Method
) -> Correction:
    n = entry.n_images
    if method == "vendor":
        dark = data.get("vendor_dark")
        return Correction.from_fields(data["vendor_flat"], dark, method="vendor", n_images=n)
    if method == "basic":
        assert entry.shape is not None
        flat, dark = (enlarged(data[name], entry.shape) for name in ("flat", "dark"))
        return Correction.from_fields(np.maximum(flat, LEAST_FLAT), dark, n_images=n)
    known = IlluminationStatistics(data["mean"], data["std"], n)
    return Correction.from_statistics(known, method)


@dataclass(frozen=True, slots=True)
class Corrections:
    """The corrections that one step applies to the images it reads; made by `resolve`.

    Attributes
    ----------
    path
        The manifest of the statistics, ``inputs["illumination"]``; its folder is their version.
    methods
        Channels that are corrected -> how.
    clipped
        Channel -> pixels that `apply` had to clip so far.
    """

    root: Path
    path: str
    methods: dict[int, Method]
    clipped: dict[int, int] = field(default_factory=dict)
    _loaded: dict[int, Correction] = field(default_factory=dict, repr=False)

    @classmethod
    def resolve(
        cls,
        root: Path,
        path: str | None,
        layout: Layout,
        method: Choice = "auto",
        exceptions: tuple[str, ...] = (),
        *,
        force: bool = False,
    ) -> Corrections:
        """Return the corrections of all channels but those named in `exceptions`; reads no image.

        Raises
        ------
        UserError
            No such channel (``unknown_channel``), too few images (``too_few_images``), sites of
            another size than those the statistics are of (``image_size``).
        DataMissing
            There are no statistics, or none for that method.
        """
        names = {c.name for c in layout.channels}
        unknown = sorted(set(exceptions) - names)
        if unknown:
            raise UserError(
                f"there is no channel {', '.join(unknown)}; known: {', '.join(sorted(names))}",
                code="unknown_channel",
            )
        if path is None:
            raise DataMissing("correction needs the statistics of corilla, which has not run")
        manifest = load_manifest(root, path)
        methods = {}
        for channel in layout.channels:
            if channel.name not in exceptions:
                entry = manifest.channel(channel.index)
                methods[channel.index] = _method(entry, method, force=force)
                _check_sizes(entry, layout)
        return cls(root, path, methods)

    @property
    def n_clipped(self) -> int:
        """Pixels of all channels that `apply` had to clip so far."""
        return sum(self.clipped.values())

    def apply(self, channel: int, image: NDArray[Any]) -> NDArray[Any]:
        """Return an image of a channel, corrected unless the channel is left alone."""
        if channel not in self.methods:
            return image
        if channel not in self._loaded:
            chosen = self.methods[channel]
            self._loaded[channel] = load_correction(
                self.root, self.path, channel, chosen, force=True
            )
        corrected, clipped = self._loaded[channel].apply_counted(image)
        self.clipped[channel] = self.clipped.get(channel, 0) + clipped.below + clipped.above
        return corrected


def _check_sizes(entry: ChannelIllumination, layout: Layout) -> None:
    sizes = {(s.height, s.width): (p, s) for p in layout.plates for s in p.sites}
    for size, (plate, site) in sizes.items():
        if entry.shape is not None and size != entry.shape:
            raise UserError(
                f"site {site.name} of well {site.well} on plate {plate.name} has {size[0]} x {size[1]} pixels,"
                f" the illumination is that of images of {entry.shape[0]} x {entry.shape[1]}: leave the"
                " site out of the layout, or switch the correction off",
                code="image_size",
            )

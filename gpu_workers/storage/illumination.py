"""Illumination statistics on disk; entry points: `load_correction`, `save_channel`, `save_manifest`.

One ``.npz`` per channel below ``illumination/<key>/`` and a manifest, written last, that says from
how many images each was estimated and what it may be used for.
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
from gpu_workers.imaging.illumination import (
    Choice,
    Correction,
    IlluminationStatistics,
    LogMoments,
    Method,
    choose_method,
)
from gpu_workers.imaging.intensities import IntensityHistogram
from gpu_workers.messages import Message
from gpu_workers.storage import paths
from gpu_workers.storage.layout import Layout

PERCENTILES = np.linspace(0, 100, 1001)


class ChannelIllumination(Message):
    """What the manifest says of one channel."""

    index: int
    name: str
    path: str | None
    n_images: int
    shape: tuple[int, int] | None = None
    smoothed_sigma: float = 0.0
    shading: float | None = None
    """Brightest over darkest place of the smoothed mean."""
    residual: float | None = None
    """Root mean square difference (relative intensity) between estimates from either half of the images."""
    method: Method | None = None
    """Strongest correction that the number of images allows."""
    methods: tuple[Method, ...] = ("std", "flat")
    """Corrections there are estimates for, whatever the number of images."""
    percentiles: dict[str, float] = {}
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


def part_path(key: str, index: int, part: int) -> str:
    """Path of what one run job accumulated for a channel."""
    return f"{paths.illumination_folder(key)}/parts/{index}-{part}.npz"


def write_arrays(path: Path, **arrays: NDArray[Any]) -> None:
    """Write arrays as one ``.npz``, atomically."""
    stream = io.BytesIO()
    np.savez(stream, **arrays)  # type: ignore[arg-type]
    paths.write_atomically(path, stream.getvalue())


def save_part(
    path: Path, halves: tuple[LogMoments, LogMoments], histogram: IntensityHistogram
) -> None:
    """Write what one job accumulated: moments of either half of its images, and a histogram."""
    write_arrays(
        path,
        n=np.array([half.n for half in halves]),
        mean=np.stack([half.mean for half in halves]),
        m2=np.stack([half.m2 for half in halves]),
        counts=histogram.counts,
        floating=np.array(histogram.floating),
    )


def load_part(path: Path) -> tuple[tuple[LogMoments, LogMoments], IntensityHistogram]:
    """Read what `save_part` wrote."""
    with np.load(path) as data:
        n, mean, m2 = data["n"], data["mean"], data["m2"]
        histogram = IntensityHistogram(bool(data["floating"]), data["counts"])
    first, second = (LogMoments(int(n[i]), mean[i], m2[i]) for i in (0, 1))
    return (first, second), histogram


def save_channel(
    path: Path,
    moments: LogMoments,
    smoothed: IlluminationStatistics,
    percentiles: NDArray[np.float64],
) -> None:
    """Write a channel's statistics: raw and smoothed mean and std of log10, percentiles 0 to 100."""
    write_arrays(
        path,
        n_images=np.array(moments.n),
        raw_mean=moments.mean.astype(np.float32),
        raw_std=moments.std().astype(np.float32),
        mean=smoothed.mean,
        std=smoothed.std,
        percentiles=percentiles,
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
    chosen = _method(entry, method, force=force)
    try:
        with np.load(root / str(entry.path)) as data:
            return _correction(data, entry, chosen)
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
    known = IlluminationStatistics(data["mean"], data["std"], entry.n_images)
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

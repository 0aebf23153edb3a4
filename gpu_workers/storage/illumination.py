"""Illumination statistics on disk; entry points: `load_illumination`, `save_channel`, `save_manifest`.

One ``.npz`` per channel below ``illumination/<key>/`` and a manifest, written last, that says from
how many images each was estimated and what it may be used for.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gpu_workers.errors import DataMissing, FileError
from gpu_workers.imaging.illumination import (
    IlluminationStatistics,
    IntensityHistogram,
    LogMoments,
    Method,
    usable_method,
)
from gpu_workers.messages import Message
from gpu_workers.storage import paths

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


def load_illumination(
    root: Path, path: str, channel: int, *, force: bool = False
) -> tuple[IlluminationStatistics, Method]:
    """Return a channel's statistics and the correction to apply with them.

    Parameters
    ----------
    path
        The manifest, ``inputs["illumination"]``.
    force
        Use them although they stand on too few images.

    Raises
    ------
    UserError
        Too few images (``too_few_images``).
    DataMissing
        There are none of that channel.
    """
    manifest = load_manifest(root, path)
    entry = manifest.channel(channel)
    if entry.path is None:
        raise DataMissing(
            f"no image of channel {entry.name!r} could be used to estimate illumination"
        )
    method = usable_method(entry.n_images, force=force)
    try:
        with np.load(root / entry.path) as data:
            found = IlluminationStatistics(data["mean"], data["std"], int(data["n_images"]))
    except (OSError, ValueError, KeyError) as error:
        raise FileError(
            f"the illumination statistics {entry.path} cannot be read", files=(entry.path,)
        ) from error
    return found, method

"""What align found: shifts between cycles, and a layout with stitched positions; entry point: `Alignment`.

``alignment/<key>/alignment.json`` is the manifest, ``shifts.parquet`` beside it has one row per plate,
site and cycle other than the reference, and ``layout.json`` is the layout with the positions that
stitching found (absent without stitching; ``edges.parquet`` then has one row per pair of neighbours).
Shifts are (y, x) in px: where a cycle's image must be moved to lie on the reference cycle's.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gpu_workers.errors import FileError
from gpu_workers.imaging.alignment.translation import Box, translate
from gpu_workers.messages import Message
from gpu_workers.storage import paths, tables
from gpu_workers.storage.layout import Layout, SiteLayout, load_layout

SHIFT_TYPES = {
    "plate": "string", "site": "int32", "cycle": "int32", "y": "double", "x": "double",
    "measured_y": "double", "measured_x": "double", "confidence": "double", "outlier": "bool",
    "residual_px": "double", "residual_median_px": "double", "n_parts": "int32", "y0": "int32",
    "x0": "int32", "y1": "int32", "x1": "int32",
}  # fmt: skip
"""``shifts.parquet``: y, x = the shift to use; measured_* = what the site itself showed (null: nothing);
outlier: y, x come from the neighbours; residual_px = the largest, residual_median_px = the median
distance of the n_parts parts of the image that show something from the shift; y0, x0, y1, x1 = pixels of
the site that all its cycles cover."""

EDGE_TYPES = {
    "plate": "string", "a": "int32", "b": "int32", "y": "double", "x": "double", "confidence": "double",
    "used": "bool", "residual_px": "double",
}  # fmt: skip
"""``edges.parquet``: sites a and b; y, x = where b was found to lie from a, px; used: the positions rest
on it; residual_px = its distance from what the positions say (null: nothing found)."""


class CycleModel(Message):
    """How a plate as a whole lies in a cycle: moved at its centre, turned; `residual_px` is what is left.

    `rotation_deg` counts counter-clockwise as seen; positions of wells are those of the physical
    plate where its format and the pixel size are known.
    """

    plate: str
    cycle: int
    y: float
    x: float
    rotation_deg: float
    residual_px: float
    n_sites: int


class WellAlignment(Message):
    """A well over all its cycles, for the plate map.

    Attributes
    ----------
    n, n_outliers
        Pairs of site and cycle, and those whose own measurement is not used.
    shifts
        Median (y, x) of each cycle's sites; None for the reference and for absent cycles.
    worst_px
        Largest distance of a site's measurement from the shift that its neighbours say.
    residual_px
        Largest local shift that remains.
    outlier_sites
        Their indices on the plate.
    """

    plate: str
    well: str
    n: int
    n_outliers: int
    shifts: tuple[tuple[float, float] | None, ...]
    worst_px: float | None = None
    confidence: float | None = None
    residual_px: float | None = None
    outlier_sites: tuple[int, ...] = ()


class PlateStitching(Message):
    """How the sites of a plate were put together.

    `n_pairs` neighbours, of which `n_measured` showed something and `n_used` agree; `turn_deg` is how
    the stage is turned against the camera.
    """

    plate: str
    n_sites: int
    n_pairs: int
    n_measured: int
    n_used: int
    n_unconnected: int
    median_residual_px: float | None = None
    median_confidence: float | None = None
    turn_deg: float = 0.0
    scale: float = 1.0
    largest_move_px: float = 0.0


class AlignmentManifest(Message):
    """``alignment.json``.

    Attributes
    ----------
    layout
        Path below the experiment's folder of the layout to use with it: the stitched one, or that
        which align was given.
    layout_key
        Its key: mosaics and objects built with the alignment name it.
    source_layout_key
        Key of the layout that align was given; with another one the alignment means nothing.
    reference_channel
        Name of the channel that was compared, without the number of its cycle.
    shifts
        Path of ``shifts.parquet``; None without a second cycle.
    edges
        Path of ``edges.parquet``; None without stitching.
    """

    version: Literal[1] = 1
    key: str
    layout: str
    layout_key: str
    source_layout_key: str = ""
    stitched: bool = False
    reference_cycle: int | None = None
    reference_channel: str | None = None
    corrected: dict[str, str] = {}
    shifts: str | None = None
    edges: str | None = None
    n_shifts: int = 0
    n_outliers: int = 0
    median_residual_px: float | None = None
    models: tuple[CycleModel, ...] = ()
    wells: tuple[WellAlignment, ...] = ()
    stitching: tuple[PlateStitching, ...] = ()

    @property
    def changes(self) -> bool:
        """Whether anything looks different with it."""
        return self.stitched or self.shifts is not None


def manifest_path(key: str) -> str:
    """Return the path of ``alignment.json`` below the experiment's folder."""
    return f"{paths.alignment_folder(key)}/alignment.json"


def shifts_path(key: str) -> str:
    """Return the path of ``shifts.parquet`` below the experiment's folder."""
    return f"{paths.alignment_folder(key)}/shifts.parquet"


def edges_path(key: str) -> str:
    """Return the path of ``edges.parquet`` below the experiment's folder."""
    return f"{paths.alignment_folder(key)}/edges.parquet"


def stitched_layout_path(key: str) -> str:
    """Return the path of the stitched ``layout.json`` below the experiment's folder."""
    return f"{paths.alignment_folder(key)}/layout.json"


def part_path(key: str, name: str) -> str:
    """Return the path of what one run job leaves for the next rounds."""
    return f"{paths.alignment_folder(key)}/parts/{name}.npz"


def save_part(path: Path, **arrays: NDArray[Any]) -> None:
    """Write arrays that later jobs need, atomically."""
    stream = io.BytesIO()
    np.savez(stream, **arrays)  # type: ignore[arg-type]
    paths.write_atomically(path, stream.getvalue())


def load_part(path: Path) -> dict[str, NDArray[Any]]:
    """Read what `save_part` wrote."""
    with np.load(path) as data:
        return dict(data)


def load_manifest(root: Path, path: str) -> AlignmentManifest:
    """Read the manifest named by ``inputs["alignment"]``."""
    return AlignmentManifest.model_validate_json((root / path).read_bytes())


@dataclass(frozen=True, slots=True)
class Alignment:
    """Reader of an alignment, and mover of the pixels it is about.

    Attributes
    ----------
    layout
        The layout to use with it.
    """

    manifest: AlignmentManifest
    layout: Layout
    _shifts: dict[tuple[str, int, int], tuple[float, float]]
    _boxes: dict[tuple[str, int], Box]

    @classmethod
    def open(cls, root: Path, manifest: str) -> Alignment:
        """Return a reader of the product at a manifest's path below `root`.

        Raises
        ------
        FileError
            The table of shifts cannot be read.
        """
        content = load_manifest(root, manifest)
        shifts: dict[tuple[str, int, int], tuple[float, float]] = {}
        boxes: dict[tuple[str, int], Box] = {}
        if content.shifts is not None:
            for row in _rows(root, content.shifts):
                shifts[row[0], row[1], row[2]] = (row[3], row[4])
                boxes[row[0], row[1]] = (row[5], row[6], row[7], row[8])
        return cls(content, load_layout(root, content.layout), shifts, boxes)

    def shift(self, plate: str, site: int, cycle: int) -> tuple[float, float]:
        """Return where (y, x) a cycle's image of a site must be moved to lie on the reference's."""
        return self._shifts.get((plate, site, cycle), (0.0, 0.0))

    def intersection(self, plate: str, site: SiteLayout) -> Box:
        """Return the pixels (y0, x0, y1, x1) of a site that all its cycles cover."""
        return self._boxes.get((plate, site.index), (0, 0, site.height, site.width))

    def apply(
        self, image: NDArray[Any], plate: str, site: int, channel: int, *, subpixel: bool = False
    ) -> NDArray[Any]:
        """Return a channel's image of a site, moved to the reference; 0 where not all cycles are.

        Where light means nothing (brightfield) the margin is white instead.

        Parameters
        ----------
        image : ndarray, shape (height, width)
            As `Plates.read` gives it, corrected or not.
        channel
            Its index: says which cycle it was taken in.
        subpixel
            False: whole pixels, values unchanged. True: linear interpolation.
        """
        box = self._boxes.get((plate, site))
        if box is None:
            return image
        described = self.layout.channels[channel]
        moved = translate(image, self.shift(plate, site, described.cycle), subpixel=subpixel)
        empty = (
            np.iinfo(image.dtype).max if described.brightfield and image.dtype.kind == "u" else 0
        )
        seen = np.full_like(moved, empty)
        inside = np.s_[box[0] : box[2], box[1] : box[3]]
        seen[inside] = moved[inside]
        return seen


def _rows(root: Path, path: str) -> Sequence[tuple[Any, ...]]:
    names = ("plate", "site", "cycle", "y", "x", "y0", "x0", "y1", "x1")
    try:
        table = tables.read_table(root / path, names)
    except (OSError, ValueError) as error:
        raise FileError(f"the shifts {path} cannot be read", files=(path,)) from error
    return list(zip(*(table[n].to_pylist() for n in names), strict=True))

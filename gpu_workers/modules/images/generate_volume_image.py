"""Module: heights of cells from a stack of beads on their surface."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from gpu_workers.imaging.filters import gaussian
from gpu_workers.imaging.opencv import cv2
from gpu_workers.imaging.surfaces import bead_positions, fit_plane, surface
from gpu_workers.modules.module import Intensity, LabelImage, Stack, module
from gpu_workers.registry import Arguments


class GenerateVolumeImageArguments(Arguments):
    threshold: float = Field(150, ge=0, title="Threshold", description="least brightness of a bead")
    bead_size: float = Field(2, gt=0, le=1000, title="Area of a bead (px)")
    superpixel_size: int = Field(
        4, ge=1, le=99, title="Superpixel (px)",
        description="side of the square round a bead that is followed through the planes",
    )  # fmt: skip
    close_surface: bool = Field(
        False, title="Close surface", description="fill pits of the surface"
    )
    close_disc_size: int = Field(8, ge=1, le=200, title="Disc (px)", description="radius")
    smooth: float = Field(0, ge=0, le=200, title="Smooth (px)", description="sigma; 0: not at all")
    subtract_slide: bool = Field(
        True,
        title="Subtract slide",
        description="heights above the plane of beads beside the cells; else from the first plane",
    )


def _finished(
    arguments: GenerateVolumeImageArguments, heights: NDArray[np.float32]
) -> NDArray[np.float32]:
    if arguments.close_surface:
        side = 2 * arguments.close_disc_size + 1
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
        heights = np.asarray(cv2.morphologyEx(heights, cv2.MORPH_CLOSE, disc), np.float32)
    if arguments.smooth > 0:
        heights = np.asarray(gaussian(heights, arguments.smooth), np.float32)
    return heights


@module(
    title="Generate volume image",
    help="Makes an image of the heights of cells from a stack of beads on their surface.",
    version=1,
    outputs=("volume_image",),
    bytes_per_pixel=32,
)
def generate_volume_image(
    arguments: GenerateVolumeImageArguments, image: Stack, mask: LabelImage
) -> Intensity:
    """Return heights in planes (float32), 0 outside the cells and where there are no beads.

    Notes
    -----
    Beads outside the cells give the plane of the slide, those on cells points of the surface, which
    is linear between them.
    """
    cells = mask > 0
    if not mask.size:
        return np.zeros(mask.shape, np.float32)
    beads = bead_positions(
        image, arguments.threshold, arguments.bead_size, arguments.superpixel_size
    )
    y, x = np.rint(beads[:, 1:]).astype(int).T
    on_cell = cells[y, x]
    plane = fit_plane(beads[~on_cell]) if arguments.subtract_slide else np.zeros(3)
    points = beads[on_cell]
    points[:, 0] -= points[:, 1] * plane[0] + points[:, 2] * plane[1] + plane[2]
    heights = surface(points[points[:, 0] > 0], cells)
    if heights.any():
        heights = _finished(arguments, heights)
    return np.where(cells, heights, np.float32(0))

"""Heights of cells from beads, and volumes from heights, where both are known in closed form."""

from __future__ import annotations

import numpy as np
import pytest

from gpu_workers.imaging.surfaces import bead_positions, fit_plane, surface
from gpu_workers.modules.images.generate_volume_image import generate_volume_image
from gpu_workers.modules.measure.measure_volume_image import measure_volume_image
from gpu_workers.modules.module import Setting

SHAPE = (160, 160)
Y, X = np.indices(SHAPE)
SLIDE = 4 + 0.02 * Y - 0.01 * X
CELL = ((Y - 80) ** 2 + (X - 75) ** 2 < 45**2).astype(np.int32) * 7
# a cap, 12 planes high
HEIGHT = np.where(CELL > 0, 12 * (1 - ((Y - 80) ** 2 + (X - 75) ** 2) / 50**2), 0)


@pytest.fixture(scope="module")
def stack() -> np.ndarray:
    rng = np.random.default_rng(0)
    planes = rng.normal(20, 3, (24, *SHAPE))
    for y, x in zip(*(g.ravel() for g in np.mgrid[4:157:5, 4:157:5]), strict=True):
        z = SLIDE[y, x] + HEIGHT[y, x]
        blur = np.exp(-0.5 * ((np.arange(24) - z) / 1.2) ** 2)
        planes[:, y - 1 : y + 2, x - 1 : x + 2] += 900 * blur[:, None, None]
    return planes.clip(0).astype(np.uint16)


def test_the_surface_is_found_above_a_tilted_slide(stack: np.ndarray) -> None:
    arguments = generate_volume_image.Arguments(bead_size=9)

    found = generate_volume_image(arguments, {"image": stack, "mask": CELL})["volume_image"]

    assert not found[CELL == 0].any()
    # beads lie 5 px apart on a curved cap: within a third of a plane of it, but for its steep rim
    inside = (Y - 80) ** 2 + (X - 75) ** 2 < 38**2
    assert np.abs(found - HEIGHT)[inside].max() < 0.34
    assert found[CELL > 0].sum() == pytest.approx(HEIGHT.sum(), rel=0.02)


def test_the_surface_may_be_closed_smoothed_and_counted_from_the_first_plane(
    stack: np.ndarray,
) -> None:
    images = {"image": stack, "mask": CELL}

    def made(**more: object) -> np.ndarray:
        arguments = generate_volume_image.Arguments(bead_size=9, **more)
        return generate_volume_image(arguments, images)["volume_image"]

    plain = made()
    assert (made(close_surface=True) >= plain - 1e-5).all()
    assert np.abs(np.diff(made(smooth=4)[80, 40:110], 2)).max() < 0.1
    higher = made(subtract_slide=False)
    inside = (Y - 80) ** 2 + (X - 75) ** 2 < 38**2
    assert np.abs(higher - plain - SLIDE)[inside].max() < 0.2


def test_without_beads_cells_or_pixels_there_is_no_height(stack: np.ndarray) -> None:
    arguments = generate_volume_image.Arguments()
    dark = np.zeros_like(stack)

    for image, mask in ((dark, CELL), (stack, np.zeros_like(CELL)), (stack[:0], CELL),
                        (stack[:, :0], CELL[:0])):  # fmt: skip
        found = generate_volume_image(arguments, {"image": image, "mask": mask})["volume_image"]
        assert found.shape == mask.shape
        assert not found.any()
    assert bead_positions(dark, 10, 2, 3).shape == (0, 3)
    assert fit_plane(np.array([[5.0, 1, 1]])).tolist() == [0, 0, 5]
    line = np.array([[1.0, 0, 0], [2.0, 0, 3], [3.0, 0, 6]])
    assert surface(line, np.ones((1, 7), bool))[0, [0, 2, 6]].tolist() == [1, 2, 3]


def test_volumes_and_surfaces_of_a_wedge() -> None:
    labels = np.zeros((12, 14), np.int32)
    labels[1:11, 2:12] = 3
    heights = 2.0 * np.arange(14)[None] * np.ones((12, 1))
    images = {"extract_objects": labels, "intensity_image": heights}

    found = measure_volume_image(
        measure_volume_image.Arguments(pixel_size=0.5, z_step=0.25), images, Setting()
    )["measurements"]
    known = measure_volume_image(
        measure_volume_image.Arguments(), images, Setting(pixel_size_um=0.5, z_step_um=0.25)
    )["measurements"]

    values = {n.removeprefix("Morphology3D_"): v[2] for n, v in found.columns.items()}
    assert values == pytest.approx(
        {
            "max_height": 22 * 0.25,
            "mean_height": 13 * 0.25,
            "volume_pL": 1300 * 0.25 * 0.25 / 1000,
            "lower_surface_area": 25,
            # 9 x 9 squares of 0.5 µm, which rise by 2 planes of 0.25 µm a pixel: 45 degrees
            "upper_surface_area": 81 * 0.25 * np.sqrt(2),
            "total_surface_area": 25 + 81 * 0.25 * np.sqrt(2),
        }
    )
    assert all(np.isnan(v[:2]).all() for v in found.columns.values())
    for name, column in found.columns.items():
        np.testing.assert_array_equal(known.columns[name], column)
    heights[5, 5] = np.nan
    lost = measure_volume_image(measure_volume_image.Arguments(), images)["measurements"]
    assert all(np.isnan(v).all() for v in lost.columns.values())

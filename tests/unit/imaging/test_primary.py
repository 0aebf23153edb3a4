"""Objects at their own scale and brightness, and the tree of unions behind it, on simulated nuclei."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from gpu_workers.imaging.ground import ground_surface
from gpu_workers.imaging.merging import cut, ellipse_fill, hierarchy, union_descriptors
from gpu_workers.imaging.primary import Settings, find_objects


def nuclei(
    *discs: tuple[float, float, float, float], shape: tuple[int, int] = (160, 200)
) -> np.ndarray:
    """Return discs (y, x, radius, brightness) of soft edge on noise around 100."""
    y, x = np.indices(shape)
    image = np.zeros(shape)
    for cy, cx, radius, light in discs:
        image = np.maximum(image, light * ((y - cy) ** 2 + (x - cx) ** 2 <= radius**2))
    noise = np.random.default_rng(0).normal(100, 5, shape)
    return (ndimage.gaussian_filter(image, 1.0) + noise).clip(0).astype(np.uint16)


ROW = [(y, x, 9.0, 400.0) for y in (30, 80, 130) for x in (30, 75, 120, 165)]


def test_single_nuclei_are_found_with_their_size() -> None:
    labels = find_objects(nuclei(*ROW))

    areas = np.bincount(labels.ravel())[1:]
    assert len(areas) == 12
    # the edge lies at 0.35 of the brightness, not half: up to a pixel outside
    assert (np.abs(np.sqrt(areas / np.pi) - 9) < 1.2).all()


def test_touching_nuclei_are_cut_and_long_ones_are_not() -> None:
    y, x = np.indices((160, 200))
    image = nuclei(*ROW, (55, 30, 0, 0), (80, 92, 9, 400)).astype(float)
    long = ((y - 105) / 7) ** 2 + ((x - 50) / 16) ** 2 <= 1
    image[long] += 400

    labels = find_objects(image.astype(np.uint16))

    assert labels.max() == 14
    assert len(np.unique(labels[100:110, 40:61])) == 1
    assert labels[80, 75] != labels[80, 92]


def test_dim_nuclei_beside_bright_ones_are_found() -> None:
    labels = find_objects(nuclei(*ROW[:8], *((130, x, 9.0, 130.0) for x in (30, 75, 120, 165))))

    assert labels.max() == 12


@pytest.mark.parametrize("factor", [0.5, 2.5])
def test_size_is_taken_from_the_image(factor: float) -> None:
    shape = (int(160 * factor), int(200 * factor))
    discs = [(y * factor, x * factor, r * factor, b) for y, x, r, b in ROW]

    assert find_objects(nuclei(*discs, shape=shape)).max() == 12


def test_faint_round_objects_are_added_and_streaks_are_not() -> None:
    image = nuclei(*ROW, (55, 52, 8, 70), (105, 97, 8, 70))
    image[50:53, 90:130] += 70

    labels = find_objects(image, Settings(faint=0.1))

    assert labels.max() == 14
    assert labels[55, 52] > 0
    assert not labels[51, 110]
    assert find_objects(image, Settings(faint=0)).max() == 12


def test_noise_alone_is_no_object() -> None:
    assert not find_objects(nuclei(shape=(300, 300))).any()
    assert not find_objects(np.full((20, 30), 7, np.uint8)).any()
    assert find_objects(np.zeros((0, 4), np.uint16)).shape == (0, 4)


def test_missing_pixels_are_ground() -> None:
    image = nuclei(*ROW).astype(np.float32)
    image[:, :10] = np.nan

    assert find_objects(image).max() == 12
    assert not find_objects(np.full((9, 9), np.nan, np.float32)).any()


def test_offset_and_scale_change_nothing() -> None:
    image = nuclei(*ROW)

    np.testing.assert_array_equal(find_objects(image), find_objects(image + np.uint16(1000)))
    np.testing.assert_array_equal(find_objects(image), find_objects(image * np.uint16(8)))


@pytest.mark.parametrize("height", [300, 1500])
def test_an_uneven_ground_is_flattened(height: int) -> None:
    image = nuclei(*ROW) + np.linspace(0, height, 200)[None, :].astype(np.uint16)

    labels = find_objects(image)

    assert labels.max() == 12
    assert len({labels[y, x] for y, x, _, _ in ROW} - {0}) == 12
    assert find_objects(image, Settings(flatten=False, faint=0)).max() < 12


def test_the_ground_is_measured_below_objects() -> None:
    y, x = np.mgrid[-1:1:200j, -1:1:240j]
    ground = 100 + 30 * y - 50 * x + 40 * x * x - 20 * x * y
    image = ground + 400 * (nuclei(*ROW, shape=(200, 240)) > 200)

    # tiles give the level of their darker part, and objects 400 high pull a little at the surface
    assert np.abs(ground_surface(image) - ground).max() < 0.15 * np.ptp(ground)


def test_unions_have_the_sums_of_their_basins() -> None:
    rng = np.random.default_rng(1)
    basins = np.kron(np.arange(1, 13).reshape(3, 4), np.ones((5, 6), int)).astype(np.int32)
    heights = rng.random(basins.shape).astype(np.float32)
    image = rng.random(basins.shape).astype(np.float32)

    tree = hierarchy(basins, heights, image)

    top, y, x = len(tree.children) - 1, *np.indices(basins.shape)
    expected = [basins.size, y.sum(), x.sum(), (y * y).sum(), (x * x).sum(), (x * y).sum()]
    assert top == 22
    np.testing.assert_allclose(tree.moments[top], expected)
    assert tree.light[top] == pytest.approx(image.sum(), rel=1e-5)
    assert tree.peak[top] == heights.max()
    # each edge between two basins is the seam of exactly one union
    assert tree.seam[:, 0].sum() == 2 * 24 + 3 * 15
    assert (np.diff(tree.saddle[12:]) <= 0).all()
    assert cut(basins, tree, np.zeros(11, bool)).max() == 1
    assert cut(basins, tree, np.ones(11, bool)).max() == 12
    assert union_descriptors(tree, 5.0).shape == (11, 9)


def test_ellipses_fill_themselves_and_pairs_do_not() -> None:
    y, x = np.indices((60, 80))
    ellipse = ((y - 30) / 10) ** 2 + ((x - 40) / 25) ** 2 <= 1
    pair = ((y - 30) ** 2 + (x - 25) ** 2 <= 100) | ((y - 30) ** 2 + (x - 46) ** 2 <= 100)

    def fill(mask: np.ndarray) -> float:
        a, b = np.nonzero(mask)
        sums = [a.size, a.sum(), b.sum(), (a * a).sum(), (b * b).sum(), (a * b).sum()]
        return float(ellipse_fill(np.array([sums], float))[0])

    assert fill(ellipse) == pytest.approx(1, abs=0.01)
    assert fill(pair) < 0.9

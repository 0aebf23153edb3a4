"""Modules that make objects, or change them."""

from __future__ import annotations

import numpy as np
import pytest
import skimage.measure
from scipy import ndimage
from skimage.segmentation import expand_labels, relabel_sequential

from gpu_workers.errors import UserError
from tests.unit.imaging.images import blobs
from tests.unit.imaging.test_shapes import volume
from tests.unit.modules.test_image_modules import run

MASK = blobs((60, 70), 3.0)


@pytest.mark.parametrize("mask", [MASK, volume()], ids=["plane", "stack"])
@pytest.mark.parametrize("connectivity", [4, 8])
def test_parts_of_a_mask_are_numbered(mask: np.ndarray, connectivity: int) -> None:
    labels = run("label", {"mask": mask}, connectivity=connectivity)

    order = 1 if connectivity == 4 else mask.ndim
    np.testing.assert_array_equal(labels, skimage.measure.label(mask, connectivity=order))
    assert labels.dtype == np.int32


@pytest.mark.parametrize("name", ["label", "register_objects"])
def test_objects_that_touch_stay_apart(name: str) -> None:
    labels = np.array([[9, 9, 4, 0, 4]], np.int32)

    made = run(name, {"mask": labels})

    assert made.tolist() == ([[1, 1, 2, 0, 3]] if name == "label" else [[9, 9, 4, 0, 4]])


def test_objects_of_a_mask_are_its_parts() -> None:
    made = run("register_objects", {"mask": MASK})

    np.testing.assert_array_equal(made, skimage.measure.label(MASK, connectivity=2))


@pytest.mark.parametrize(
    ("values", "argument", "expected"),
    [
        ([0, 255, 255, 0, 255], "auto", [0, 1, 1, 0, 2]),
        ([0, 5, 2, 0, 5], "auto", [0, 5, 2, 0, 5]),
        ([0, 5, 2, 0, 5], "mask", [0, 1, 1, 0, 2]),
        ([0, 255, 255, 0, 255], "labels", [0, 255, 255, 0, 255]),
        ([0, 0, 0, 0, 0], "auto", [0, 0, 0, 0, 0]),
    ],
)
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_a_channel_holds_a_mask_or_labels(
    values: list[int], argument: str, expected: list[int], dtype: str
) -> None:
    image = np.array([values], dtype)

    made = run("register_objects_channel", {"mask": image}, values=argument)

    assert made.dtype == np.int32
    assert made.tolist() == [expected]


def test_a_channel_is_taken_for_labels() -> None:
    image = np.array([[0, 65_535, 3]], np.uint16)

    assert run("use_label_image", {"input_image": image}).tolist() == [[0, 65_535, 3]]
    big = np.array([[0, 16_000_001, np.nan]], np.float64)
    assert run("use_label_image", {"input_image": big}).tolist() == [[0, 16_000_001, 0]]


@pytest.mark.parametrize("image", [
    np.array([[0.5]]), np.array([[-1]], np.int16), np.array([[2**31]], np.uint32), np.array([[1e20]]),
])  # fmt: skip
def test_values_that_are_no_numbers_of_objects_are_refused(image: np.ndarray) -> None:
    with pytest.raises(UserError, match="no numbers of objects") as caught:
        run("use_label_image", {"input_image": image})
    assert caught.value.code == "no_labels"


@pytest.mark.parametrize("shape", [(60, 70), (6, 10, 70)])
def test_relabelling_closes_gaps(shape: tuple[int, ...]) -> None:
    labels = np.random.default_rng(0).choice(np.int32([0, 3, 70_000, 90_001]), shape)

    made = run("relabel", {"label_image": labels})

    assert set(np.unique(made)) == {0, 1, 2, 3}
    first = {int(n): int(np.flatnonzero(made == n)[0]) for n in (1, 2, 3)}
    assert first[1] < first[2] < first[3]
    np.testing.assert_array_equal(
        relabel_sequential(labels)[0] == 3, made == made[labels == 90_001][0]
    )


def test_rasterized_objects_are_their_labels() -> None:
    labels = np.array([[0, 7]], np.int32)

    made = run("rasterize", {"objects": labels})

    np.testing.assert_array_equal(made, labels)
    assert not np.shares_memory(made, labels)


@pytest.mark.parametrize("n", [-3, -1, 0, 1, 2.5, 6])
def test_objects_expand_and_shrink_without_merging(n: float) -> None:
    labels = skimage.measure.label(MASK).astype(np.int32) * 3

    changed = run("expand_or_shrink", {"image": labels}, n=n)

    if n >= 0:
        expected = expand_labels(labels, n)
        np.testing.assert_array_equal(changed > 0, expected > 0)
        # of equally near objects either may win
        assert (changed != expected).mean() < 0.01
    else:
        padded = np.pad(labels > 0, 9, mode="edge")
        near = ndimage.distance_transform_edt(padded)[9:-9, 9:-9] <= -n
        np.testing.assert_array_equal(changed, np.where(near, 0, labels))


@pytest.mark.parametrize("labelled", [False, True])
def test_small_objects_are_removed(labelled: bool) -> None:
    labels = skimage.measure.label(MASK, connectivity=2).astype(np.int32) * 2
    areas = np.bincount(labels.ravel())

    cleaned = run("remove_small_objects", {"mask": labels if labelled else MASK}, min_area=40)

    expected = np.where(areas[labels] >= 40, labels, 0)
    np.testing.assert_array_equal(cleaned, expected if labelled else expected > 0)


def rings(**more: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return objects, their rings of 4 px with a gap of 2 px, and each pixel's distance."""
    objects = np.zeros((50, 60), np.int32)
    objects[18:26, 10:20], objects[18:26, 30:40] = 5, 2
    made = run("ring", {"objects": objects, **more}, width=4, gap=2)
    return objects, made, ndimage.distance_transform_edt(objects == 0)


def test_rings_lie_around_their_objects() -> None:
    objects, made, distance = rings()

    np.testing.assert_array_equal(made > 0, (distance > 2) & (distance <= 6))
    grown = expand_labels(objects, 6)
    np.testing.assert_array_equal(made[made > 0], grown[made > 0])
    assert set(np.unique(made)) == {0, 2, 5}


@pytest.mark.parametrize("as_labels", [False, True])
def test_rings_end_at_a_limit(as_labels: bool) -> None:
    cells = np.zeros((50, 60), np.int32)
    cells[15:30, 5:27], cells[15:30, 27:45] = 5, 2
    _, free, _ = rings()

    _, made, _ = rings(limit=cells if as_labels else cells > 0)

    expected = np.where((cells == free) if as_labels else (cells > 0), free, 0)
    np.testing.assert_array_equal(made, expected)
    assert (made != free).any()

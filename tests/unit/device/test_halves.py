"""Every device half against the operation on the CPU, by the table that ``./run doctor --gpu`` uses.

The stand-in (see its docstring) shows nothing of NVIDIA's compiler, of real concurrency or of where
cupy computes otherwise than NumPy and SciPy; the same tests run on a device under the mark `gpu`.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from skimage.io import imread

from gpu_workers import xp
from gpu_workers.errors import UserError
from gpu_workers.imaging import filters, labels, morphology, regions, thresholds, watershed
from gpu_workers.imaging.device import comparison
from gpu_workers.imaging.device.comparison import CASES, Case, Scene, scene, simulated
from tests.data_sets import data_set
from tests.unit.imaging.images import blobs, intensities

ids = [c.name for c in CASES]


@cache
def _simulated() -> Scene:
    return scene(simulated((240, 300)))


@cache
def _real() -> Scene:
    """Nuclei, some of them touching."""
    files = sorted((data_set("nuclei_dsb2018_dev") / "images").glob("*.png"))
    image = imread(files[3])
    return scene(np.ascontiguousarray((image if image.ndim == 2 else image[..., 0])[:300, :300]))


def test_every_half_is_compared() -> None:
    compared = {f"{c.operation.__module__}.{c.name}" for c in CASES}

    assert xp.operations_with_halves() == compared


@pytest.mark.parametrize("case", CASES, ids=ids)
def test_a_half_gives_what_the_operation_gives(device: str, case: Case) -> None:
    compared = comparison.compare(case, _simulated(), times=1)

    assert compared.difference <= case.tolerance


@pytest.mark.data
@pytest.mark.parametrize("case", CASES, ids=ids)
def test_on_real_nuclei_too(device: str, case: Case) -> None:
    given = _real()
    assert given.labels.max() > 10

    assert comparison.compare(case, given, times=0).difference <= case.tolerance


@pytest.mark.parametrize("case", CASES, ids=ids)
def test_results_stay_on_the_device(device: str, case: Case) -> None:
    there = [comparison.moved(a, xp.to_device) for a in case.given(_simulated())]

    found = case.operation(*there)

    arrays: list[object] = []
    comparison.moved(found, lambda a: arrays.append(a) or a)
    assert all(xp.namespace(a) is not np for a in arrays)


@pytest.mark.parametrize("shape", [(0, 5), (1, 1), (4, 6)])
def test_images_without_objects(device: str, shape: tuple[int, int]) -> None:
    nothing = xp.to_device(np.zeros(shape, np.int32))
    mask, image = nothing > 0, nothing.astype("float32")

    for found in (
        labels.label(mask), labels.relabel(nothing), labels.filter_by_area(nothing, 3),
        labels.expand_labels(nothing, 3), morphology.fill_holes(mask),
        morphology.distance_transform(mask), morphology.peaks(image, 2),
        watershed.watershed(image, nothing), filters.gaussian(image, 1), filters.median(image, 3),
    ):  # fmt: skip
        assert found.shape == shape
        assert not xp.to_host(found).any()
    geometry = regions.region_geometry(nothing)
    assert geometry.area.shape == (0,)
    assert geometry.eccentricity.shape == (0,)
    assert regions.convex_areas(nothing, geometry).shape == (0,)
    assert regions.intensity_statistics(nothing, image).mean.shape == (0,)


def test_labels_that_are_missing_and_more_than_16_bits_hold(device: str) -> None:
    host = np.zeros((600, 600), np.int32)
    host[::2, ::2] = np.arange(1, 90001).reshape(300, 300) * 2

    there = xp.to_device(host)
    geometry = regions.region_geometry(there)

    assert geometry.area.shape == (180000,)
    np.testing.assert_array_equal(xp.to_host(geometry.area), np.tile([0.0, 1.0], 90000))
    np.testing.assert_array_equal(np.isnan(xp.to_host(geometry.y)), np.tile([True, False], 90000))
    np.testing.assert_array_equal(xp.to_host(labels.relabel(there)), labels.relabel(host))


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int32", "float32", "float64"])
def test_every_type_of_pixels(device: str, dtype: str) -> None:
    image = (intensities((60, 70), "uint8") / (1 if dtype[0] in "ui" else 7)).astype(dtype)
    objects = labels.label(blobs((60, 70)))

    there, those = xp.to_device(image), xp.to_device(objects)

    for operation in (lambda i: filters.gaussian(i, 1.2), thresholds.otsu):
        expected, found = operation(image), operation(there)
        assert comparison.difference(expected, comparison.moved(found, xp.to_host)) <= 1e-5
    expected, found = (
        regions.intensity_statistics(o, i) for o, i in ((objects, image), (those, there))
    )
    assert comparison.difference(expected, comparison.moved(found, xp.to_host)) <= 1e-12


def test_pixels_that_are_no_numbers(device: str) -> None:
    image = intensities((60, 70), "float32")
    image[5, 5:9], image[20, 20] = np.nan, np.inf
    objects = labels.label(blobs((60, 70)) | (image != image))
    there, those = xp.to_device(image), xp.to_device(objects)

    expected, found = (
        regions.intensity_statistics(o, i) for o, i in ((objects, image), (those, there))
    )

    assert np.isnan(expected.mean).any()
    assert comparison.difference(expected, comparison.moved(found, xp.to_host)) <= 1e-12
    assert thresholds.otsu(there) == pytest.approx(thresholds.otsu(image), rel=1e-9)


@pytest.mark.parametrize("outside", [False, True])
def test_touching_objects_limit_each_others_distances(
    device: str, outside: bool, order: str
) -> None:
    parts = np.where(blobs((80, 90)), 1 + np.indices((80, 90)).sum(axis=0) // 25, 0).astype("int32")

    found = morphology.distance_transform(xp.to_device(parts), outside=outside)

    expected = morphology.distance_transform(parts, outside=outside)
    np.testing.assert_array_equal(xp.to_host(found), expected)


@pytest.mark.parametrize("distance", [1, 1.5, 12.3, 60])
def test_expansion_of_many_distances(device: str, distance: float, order: str) -> None:
    few = labels.label(blobs((80, 90)) & (np.indices((80, 90)).sum(axis=0) % 11 > 6))

    found = labels.expand_labels(xp.to_device(few), distance)

    np.testing.assert_array_equal(xp.to_host(found), labels.expand_labels(few, distance))


def test_views_that_are_not_contiguous(device: str) -> None:
    given = _simulated()
    image, objects = given.image[::2, ::3].T, given.labels[::2, ::3].T
    there, those = xp.to_device(given.image)[::2, ::3].T, xp.to_device(given.labels)[::2, ::3].T

    expected, found = (
        regions.intensity_statistics(o, i) for o, i in ((objects, image), (those, there))
    )
    assert comparison.difference(expected, comparison.moved(found, xp.to_host)) <= 1e-12
    for on_cpu, on_gpu in (
        (regions.region_geometry(objects), regions.region_geometry(those)),
        (labels.expand_labels(objects, 4), labels.expand_labels(those, 4)),
        (morphology.distance_transform(objects), morphology.distance_transform(those)),
        (watershed.watershed(image, objects), watershed.watershed(there, those)),
    ):
        assert comparison.difference(on_cpu, comparison.moved(on_gpu, xp.to_host)) <= 1e-12


def test_wrong_arguments_are_refused_as_on_the_cpu(device: str) -> None:
    image = xp.to_device(np.ones((4, 4), np.float32))

    for wrong, code in (
        (lambda: filters.gaussian(image, -1), "invalid_sigma"),
        (lambda: filters.median(image, 4), "invalid_size"),
        (lambda: thresholds.otsu(image[:0]), "empty_image"),
        (lambda: thresholds.otsu(image * np.nan), "empty_image"),
    ):
        with pytest.raises(UserError) as caught:
            wrong()
        assert caught.value.code == code
    with pytest.raises(TypeError):
        watershed.watershed(image, np.ones((4, 4), np.int32))
    with pytest.raises(ValueError, match="labels of"):
        regions.intensity_statistics(image.astype("int32"), image[1:])


def test_stacks_are_smoothed_and_numbered_and_else_refused(device: str) -> None:
    stack = intensities((5, 20, 30), "float32")  # type: ignore[arg-type]
    mask = stack > 0.7
    there, those = xp.to_device(stack), xp.to_device(mask)

    for expected, found in (
        (filters.gaussian(stack, 1.5, 0.7), filters.gaussian(there, 1.5, 0.7)),
        (labels.label(mask, 4), labels.label(those, 4)),
        (labels.label(mask, 8), labels.label(those, 8)),
        (
            labels.filter_by_area(labels.label(mask, 4), 3),
            labels.filter_by_area(labels.label(those, 4), 3),
        ),
    ):
        assert comparison.difference(expected, comparison.moved(found, xp.to_host)) <= 1e-5
    for refused in (morphology.distance_transform, regions.region_geometry):
        with pytest.raises(UserError) as caught:
            refused(labels.label(those))
        assert caught.value.code == "no_gpu_implementation"

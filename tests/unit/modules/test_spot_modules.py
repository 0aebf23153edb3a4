"""Modules that find spots."""

from __future__ import annotations

import numpy as np
import pytest

from gpu_workers.modules.module import Setting
from gpu_workers.modules.objects.detect_blobs import DetectBlobsArguments, detect_blobs
from gpu_workers.modules.objects.detect_spots import DetectSpotsArguments, detect_spots
from gpu_workers.modules.objects.identify_spots_2D import (
    IdentifySpots2DArguments,
    identify_spots_2D,
)
from gpu_workers.modules.objects.identify_spots_3D import (
    IdentifySpots3DArguments,
    identify_spots_3D,
)
from tests.unit.imaging.test_spots import grid, spots

SHAPE = (160, 180)


def noisy(image: np.ndarray) -> np.ndarray:
    return (image + np.random.default_rng(5).normal(0, 4, image.shape)).astype(np.uint16)


@pytest.mark.parametrize("method", ["log", "dog"])
def test_spots_are_found_with_their_place_and_height(method: str) -> None:
    truth = grid(SHAPE, 16)
    image = noisy(spots(truth, SHAPE, 1.5, 200) + 100)

    found = detect_spots(DetectSpotsArguments(method=method), {"image": image}, Setting({}, 0.5))  # type: ignore[arg-type]

    columns = found["features"].columns
    assert found["spots"].max() == len(truth) == columns["Spot_y"].size
    centres = np.stack([columns["Spot_y"], columns["Spot_x"]], axis=1)
    far = np.linalg.norm(centres[:, None] - truth[None], axis=2)
    assert len(np.unique(far.argmin(axis=1))) == len(truth)
    assert far.min(axis=1).max() < 0.2  # noise of 2 % of the height
    np.testing.assert_allclose(columns["Spot_intensity"], 200, rtol=0.08)
    np.testing.assert_allclose(columns["Spot_y_um"], columns["Spot_y"] / 2)
    assert (columns["Spot_snr"] > 10).all()
    assert (
        found["spots"][tuple(np.rint(centres).astype(int).T)] == np.arange(1, len(truth) + 1)
    ).all()


def test_noise_alone_has_no_spots() -> None:
    image = noisy(np.full((400, 400), 100.0))

    assert detect_spots(DetectSpotsArguments(), {"image": image})["spots"].max() == 0
    assert detect_blobs(DetectBlobsArguments(threshold=7), {"image": image})["blobs"].max() == 0


def test_spots_in_a_stack_and_in_a_mask() -> None:
    truth = grid((16, 48, 48), 16)
    image = spots(truth, (16, 48, 48), 1.5, 200) + 100
    mask = np.ones(image.shape, bool)
    mask[..., :16] = False

    every = detect_spots(DetectSpotsArguments(), {"image": image}, Setting({}, 0.5, 2.0))
    some = detect_spots(DetectSpotsArguments(), {"image": image, "mask": mask})

    assert every["spots"].shape == image.shape
    assert every["spots"].max() == len(truth)
    np.testing.assert_allclose(every["features"].columns["Spot_intensity"], 200, rtol=0.05)
    np.testing.assert_allclose(
        every["features"].columns["Spot_z_um"], 2 * every["features"].columns["Spot_z"]
    )
    assert some["spots"].max() == (truth[:, 2] > 15.5).sum()


@pytest.mark.parametrize("shape", [(1, 1), (30, 20), (0, 5)])
def test_empty_images_have_no_spots(shape: tuple[int, int]) -> None:
    for image in (np.zeros(shape, np.uint16), np.full(shape, np.nan, np.float32)):
        found = detect_spots(DetectSpotsArguments(), {"image": image})
        blobs = detect_blobs(DetectBlobsArguments(), {"image": image})
        identified = identify_spots_2D(IdentifySpots2DArguments(), {"image": image})
        stack = identify_spots_3D(IdentifySpots3DArguments(), {"image": image[None]})

        assert not found["spots"].any()
        assert {c.size for c in found["features"].columns.values()} == {0}
        assert not blobs["blobs"].any()
        assert not identified["spots_deblend"].any()
        assert stack["occupancy_image"].shape == shape


def test_overlapping_blobs_are_told_apart() -> None:
    left = grid(SHAPE, 24)
    image = noisy(
        spots(left, SHAPE, 1.5, 200) + spots(left + np.array([0, 5.0]), SHAPE, 1.5, 200) + 100
    )

    found = detect_blobs(DetectBlobsArguments(mean_area=14), {"image": image})
    plain = identify_spots_2D(IdentifySpots2DArguments(deblending_steps=0), {"image": image})
    divided = identify_spots_2D(IdentifySpots2DArguments(), {"image": image})

    assert found["blobs"].max() == 2 * len(left)
    labels, counts = np.unique(found["centroids"], return_counts=True)
    np.testing.assert_array_equal(labels, np.arange(2 * len(left) + 1))
    assert (counts[1:] == 1).all()
    marked = found["centroids"] > 0
    np.testing.assert_array_equal(found["centroids"][marked], found["blobs"][marked])
    # without division blobs 5 px apart may touch; with it each is one
    assert plain["spots"].max() <= divided["spots_deblend"].max() == 2 * len(left)
    np.testing.assert_array_equal(divided["spots"] > 0, divided["spots_deblend"] > 0)


def test_blobs_beyond_the_sizes_or_the_mask_are_left_out() -> None:
    truth = grid(SHAPE, 24)
    image = spots(truth, SHAPE, 1.5, 200) + 100
    mask = np.zeros(SHAPE, bool)
    mask[:, :90] = True

    large = detect_blobs(DetectBlobsArguments(min_area=500, max_area=900), {"image": image})
    inside = detect_blobs(DetectBlobsArguments(), {"image": image, "mask": mask})

    assert not large["blobs"].any()
    assert inside["blobs"].max() == (truth[:, 1] < 90).sum()
    assert not inside["blobs"][~mask].any()


def test_planes_with_a_spot_are_counted() -> None:
    stack = np.full((9, 40, 40), 100, np.uint16)
    stack[3:6, 10:13, 10:13] = 5000  # in three planes
    stack[4, 29:32, 29:32] = 5000  # in one

    flat = identify_spots_3D(IdentifySpots3DArguments(log_filter_type="2D"), {"image": stack})
    deep = identify_spots_3D(IdentifySpots3DArguments(), {"image": stack})

    assert flat["occupancy_image"][11, 11] == 3
    assert flat["occupancy_image"][30, 30] == 1
    assert deep["occupancy_image"].dtype == np.uint16
    assert deep["occupancy_image"][30, 30] == 1
    assert not deep["occupancy_image"][20:, :20].any()

"""The parallel flood against scikit-image's heap and our own queue: equal pixel for pixel on whole levels."""

from __future__ import annotations

import numpy as np
import pytest
import skimage.segmentation

from gpu_workers import xp
from gpu_workers.imaging.watershed import watershed
from tests.unit.device.standin import kernels
from tests.unit.imaging.images import blobs, intensities


def _seeds(shape: tuple[int, int], n: int) -> np.ndarray:
    seeds = np.zeros(shape, np.int32)
    places = np.random.default_rng(5).choice(seeds.size, n, replace=False)
    seeds.ravel()[places] = np.arange(1, n + 1)
    return seeds


@pytest.mark.parametrize("n_levels", [1, 4, 256])
@pytest.mark.parametrize("masked", [False, True])
def test_whole_levels_equal_scikit_image(
    device: str, n_levels: int, masked: bool, order: str
) -> None:
    image = (intensities((60, 70), "uint8") * (n_levels / 256)).astype(np.uint8)
    seeds = _seeds(image.shape, 30)
    mask = blobs((60, 70)) if masked else None

    there = None if mask is None else xp.to_device(mask)
    flooded = xp.to_host(watershed(xp.to_device(image), xp.to_device(seeds), there))

    np.testing.assert_array_equal(flooded, watershed(image, seeds, mask))
    expected = skimage.segmentation.watershed(image, seeds, mask=mask)
    # scikit-image takes seeds that lie on one level in no particular order
    assert (flooded != expected).mean() <= (0.05 if n_levels == 1 else 0)


@pytest.mark.parametrize("threads", [1, 2, 8, 64])
def test_the_number_of_threads_changes_nothing(
    device: str, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernels.Settings, "threads", threads)
    image = intensities((50, 60), "uint16") // 900
    seeds = _seeds(image.shape, 20)

    flooded = watershed(xp.to_device(image), xp.to_device(seeds))

    np.testing.assert_array_equal(xp.to_host(flooded), watershed(image, seeds))


def test_floats_with_unknown_ground_and_seeds_outside_the_mask(device: str) -> None:
    image = intensities((60, 70), "float32")
    image[10:14, 20:40] = np.nan
    seeds, mask = _seeds(image.shape, 40), blobs((60, 70))

    flooded = watershed(xp.to_device(image), xp.to_device(seeds), xp.to_device(mask))

    np.testing.assert_array_equal(xp.to_host(flooded), watershed(image, seeds, mask))

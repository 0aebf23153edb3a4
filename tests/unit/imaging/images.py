"""Images for the tests of array functions: random fields, real nuclei."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tifffile

from tests.data_sets import data_set


def blobs(shape: tuple[int, int] = (240, 300), sigma: float = 4.0, seed: int = 0) -> np.ndarray:
    """Return a mask of irregular blobs with holes, some at the edge."""
    from scipy import ndimage

    field = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), sigma)
    return np.asarray(field > 0.3 * field.std())


def intensities(
    shape: tuple[int, int] = (240, 300), dtype: str = "uint16", seed: int = 1
) -> np.ndarray:
    """Return random values over the type's range (0 to 1 for floats)."""
    rng = np.random.default_rng(seed)
    if dtype == "float32":
        return rng.random(shape, np.float32)
    return rng.integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)


def hand_drawn(n: int = 4) -> list[tuple[str, np.ndarray]]:
    """Return label images of the hand-drawn nuclei, as (name, int32 labels)."""
    from skimage.segmentation import relabel_sequential

    folder = data_set("nuclei_dsb2018_dev") / "labels"
    files: list[Path] = sorted(folder.glob("*.tif"))[:n]
    return [(f.stem, relabel_sequential(tifffile.imread(f))[0].astype(np.int32)) for f in files]

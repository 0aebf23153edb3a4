"""Every operation on the CPU against its device half; entry points: `scene`, `CASES` and `compare`.

What counts as equal stands here once: the tests, ``./run doctor --gpu`` and ``docs/gpu.md`` use it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpu_workers import xp
from gpu_workers.imaging import (
    background,
    filters,
    labels,
    morphology,
    regions,
    relations,
    shapes,
    thresholds,
    watershed,
)
from gpu_workers.imaging.features import aggregates, intensity, pixels


@dataclass(frozen=True, slots=True)
class Scene:
    """An image and what is found in it, in host memory."""

    image: NDArray[Any]
    threshold: float
    mask: NDArray[np.bool_]
    labels: NDArray[np.int32]
    distance: NDArray[np.float32]
    seeds: NDArray[np.int32]
    geometry: regions.RegionGeometry


def scene(image: NDArray[Any]) -> Scene:
    """Return an image with its nuclei, more or less: what the operations are compared on."""
    smooth = filters.gaussian(image, 1.5)
    threshold = thresholds.otsu(smooth)
    mask = smooth > threshold
    distance = morphology.distance_transform(mask)
    seeds = labels.label(morphology.peaks(filters.gaussian(distance, 1.5), 5, mask))
    found = labels.label(mask)
    return Scene(image, threshold, mask, found, distance, seeds, regions.region_geometry(found))


def simulated(shape: tuple[int, int] = (1024, 1280), seed: int = 0) -> NDArray[np.uint16]:
    """Return an image of round nuclei of different size and brightness, some touching, with noise."""
    rng = np.random.default_rng(seed)
    height, width = shape
    image = np.full(shape, 200.0, np.float32)
    for _ in range(max(3, height * width // 3000)):
        y, x, radius = rng.uniform(0, height), rng.uniform(0, width), rng.uniform(5, 14)
        y0, x0 = max(0, int(y - radius)), max(0, int(x - radius))
        rows, columns = np.ogrid[y0 : int(y + radius) + 2, x0 : int(x + radius) + 2]
        part = image[y0 : int(y + radius) + 2, x0 : int(x + radius) + 2]
        inside = (rows - y) ** 2 + (columns - x) ** 2 < radius**2
        part += (inside * rng.uniform(300, 3000)).astype(np.float32)[
            : part.shape[0], : part.shape[1]
        ]
    return np.asarray(rng.poisson(filters.gaussian(image, 1.0)), np.uint16)


@dataclass(frozen=True, slots=True)
class Case:
    """One operation with what it is given.

    Attributes
    ----------
    tolerance
        Largest difference: for numbers with fractions over the greatest value of the result (of
        each column in a table), for labels and masks the part of the pixels that differ.
    why
        Where the tolerance comes from.
    """

    operation: Callable[..., Any]
    given: Callable[[Scene], tuple[Any, ...]]
    tolerance: float
    why: str

    @property
    def name(self) -> str:
        """What the operation is called."""
        return self.operation.__name__


def _with_holes(given: Scene) -> NDArray[np.int32]:
    """Return objects with gaps of different sizes, cut apart, some with numbers missing."""
    height, width = given.labels.shape
    rows, columns = np.ogrid[:height, :width]
    gap = ((rows // 2 + columns // 3) % 5 == 0) & (given.distance > 2)
    return np.where(gap, 0, given.labels * 2).astype(np.int32)


SAME = "the same whole numbers"
ORDER = "sums in another order"

CASES = (
    Case(filters.gaussian, lambda s: (s.image, 2.5), 1e-5, "float32 weights and sums"),
    Case(filters.average, lambda s: (s.image, 7), 1e-5, "float32 sums"),
    Case(filters.median, lambda s: (s.image, 5), 0, "a value of the image"),
    Case(filters.bilateral, lambda s: (s.image, 2.0, 300.0), 1e-4, "a table of weights on the CPU"),
    Case(background.disc_minimum, lambda s: (s.image, 9), 0, "a value of the image"),
    Case(background.opening, lambda s: (s.image, 20), 0, "a value of the image"),
    Case(background.local_minimum, lambda s: (s.image, 20), 1e-5, "float32 weights and sums"),
    Case(background.rolling_ball, lambda s: (s.image, 40.0), 1e-5, "float32 interpolation"),
    Case(background.local_median, lambda s: (s.image, 20), 1e-4, "a step of 65,536 levels"),
    Case(thresholds.otsu, lambda s: (s.image,), 1e-9, "exact for whole numbers"),
    Case(
        thresholds.moved_from_background,
        lambda s: (s.image, s.threshold, 0.8),
        1e-6,
        "float32 medians",
    ),
    Case(thresholds.above_background, lambda s: (s.image, 0.0, 3.0), 1e-6, "float32 medians"),
    Case(morphology.fill_holes, lambda s: (s.mask,), 0, SAME),
    Case(morphology.distance_transform, lambda s: (s.mask,), 0, "roots of the same whole numbers"),
    Case(morphology.peaks, lambda s: (s.distance, 5, s.mask), 0, "comparisons only"),
    Case(shapes.erode, lambda s: (s.labels, 2.5), 0, SAME),
    Case(shapes.dilate, lambda s: (s.mask, 2.5), 0, SAME),
    Case(shapes.opened, lambda s: (s.labels, 2), 0, SAME),
    Case(shapes.closed, lambda s: (s.mask, 3), 0, SAME),
    Case(shapes.without_small, lambda s: (s.mask, 80), 0, SAME),
    Case(shapes.filled, lambda s: (_with_holes(s), 12), 0, SAME),
    Case(labels.label, lambda s: (s.mask,), 0, SAME),
    Case(labels.split_parts, lambda s: (_with_holes(s),), 0, SAME),
    Case(labels.relabel, lambda s: (s.labels * 3,), 0, SAME),
    Case(labels.filter_by_area, lambda s: (s.labels, 60, 900), 0, SAME),
    Case(labels.expand_labels, lambda s: (s.labels, 6.5), 0, SAME),
    Case(labels.lookup, lambda s: (s.labels, s.geometry.area), 0, SAME),
    Case(relations.overlaps, lambda s: (s.labels, s.seeds), 0, SAME),
    Case(relations.centroids, lambda s: (s.labels * 2,), 1e-15, "one division"),
    Case(relations.at_border, lambda s: (s.labels, 3), 0, SAME),
    Case(relations.without, lambda s: (s.labels, s.geometry.area < 200), 0, SAME),
    Case(
        watershed.watershed, lambda s: (-s.distance, s.seeds, s.mask), 0, "the same order of floods"
    ),
    Case(regions.region_geometry, lambda s: (s.labels,), 1e-12, ORDER),
    Case(regions.convex_areas, lambda s: (s.labels, s.geometry), 0, SAME),
    Case(regions.intensity_statistics, lambda s: (s.labels, s.image), 1e-12, ORDER),
    Case(regions.radius_statistics, lambda s: (s.labels,), 1e-12, ORDER),
    Case(aggregates.parents_of, lambda s: (s.seeds, s.labels * 2), 0, SAME),
    Case(pixels.object_pixels, lambda s: (s.labels * 2,), 0, SAME),
    Case(intensity.intensity_features, lambda s: (s.labels * 2, s.image, (10, 99)), 1e-9, ORDER),
)


def moved(value: Any, to: Callable[[Any], Any]) -> Any:
    """Return a value with all its arrays, also those of a table, in the other memory."""
    if isinstance(value, dict):
        return {name: moved(column, to) for name, column in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{f.name: moved(getattr(value, f.name), to) for f in fields(value)})
    return to(value) if hasattr(value, "__array_priority__") else value


def _pairs(expected: Any, found: Any) -> list[tuple[Any, Any]]:
    """Return the columns of two tables beside each other; those that one lacks beside None."""
    if isinstance(expected, dict):
        names = [*expected, *(name for name in found if name not in expected)]
        return [(expected.get(name), found.get(name)) for name in names]
    return [(getattr(expected, f.name), getattr(found, f.name)) for f in fields(expected)]


def difference(expected: Any, found: Any) -> float:
    """Return how far a result is from the expected one, as `Case.tolerance` counts; infinite if unlike."""
    if isinstance(expected, dict) or is_dataclass(expected):
        return max((difference(a, b) for a, b in _pairs(expected, found)), default=0.0)
    a, b = np.asarray(expected), np.asarray(found)
    if a.shape != b.shape or a.dtype != b.dtype:
        return float("inf")
    if a.dtype.kind != "f":
        return float(np.mean(a != b)) if a.size else 0.0
    known = np.isfinite(a)
    if not np.array_equal(a[~known], b[~known], equal_nan=True):
        return float("inf")
    greatest = float(np.abs(a[known]).max(initial=0)) or 1.0
    return float(np.abs(a[known] - b[known]).max(initial=0)) / greatest


@dataclass(frozen=True, slots=True)
class Compared:
    """What came of a case."""

    case: Case
    difference: float
    cpu_s: float
    gpu_s: float

    @property
    def agrees(self) -> bool:
        """Whether the difference lies within the tolerance."""
        return self.difference <= self.case.tolerance


def _timed(run: Callable[[], Any], wait: Callable[[], None], times: int) -> tuple[Any, float]:
    """Return the result and the shortest of some runs, s; the first one, that compiles, isn't counted."""
    result = run()
    wait()
    shortest = float("inf")
    for _ in range(times):
        started = time.perf_counter()
        result = run()
        wait()
        shortest = min(shortest, time.perf_counter() - started)
    return result, shortest


def compare(case: Case, given: Scene, times: int = 3) -> Compared:
    """Run an operation on the CPU and on the device.

    Raises
    ------
    UserError
        There is no device (``no_gpu``).
    """
    arguments = case.given(given)
    there = tuple(moved(a, xp.to_device) for a in arguments)
    expected, cpu_s = _timed(lambda: case.operation(*arguments), lambda: None, times)
    found, gpu_s = _timed(lambda: case.operation(*there), xp.wait, times)
    return Compared(case, difference(expected, moved(found, xp.to_host)), cpu_s, gpu_s)

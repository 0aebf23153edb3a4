"""Where cells are and what they look like: pure functions on arrays of a whole well."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

Floats = NDArray[np.float32]
BANK = 1024  # side of the periodic noise fields that textures are cut from


@dataclass(frozen=True, slots=True)
class Cells:
    """The cells of one well at one time, one entry each.

    Attributes
    ----------
    y, x
        Centres of the nuclei within the well, px.
    radius
        Mean radius of the nucleus, px.
    elongation, angle
        Ratio of the axes (>= 1) and direction of the long one, rad.
    brightness
        Factor on every stain of that cell.
    reach
        How far the cell extends from its nucleus' centre, px.
    """

    y: Floats
    x: Floats
    radius: Floats
    elongation: Floats
    angle: Floats
    brightness: Floats
    reach: Floats

    def __len__(self) -> int:
        return len(self.y)


@dataclass(frozen=True, slots=True)
class Anatomy:
    """Fractions, 0 to 1, of each pixel that is nucleus, cytoplasm and spots: float32 ``(y, x)``."""

    nucleus: Floats
    cytoplasm: Floats
    spots: Floats


def smooth_noise(rng: np.random.Generator, sigma: float, side: int = BANK) -> Floats:
    """Return a periodic field ``(side, side)`` of zero mean and unit variance, correlated over `sigma` px."""
    white = rng.standard_normal((side, side), dtype=np.float32)
    frequency = np.fft.rfftfreq(side).astype(np.float32)
    rows = np.fft.fftfreq(side).astype(np.float32)
    kernel = np.exp(-2 * (np.pi * sigma) ** 2 * (rows[:, None] ** 2 + frequency[None] ** 2))
    field = np.fft.irfft2(np.fft.rfft2(white) * kernel, s=(side, side)).astype(np.float32)
    return np.asarray((field - field.mean()) / field.std(), np.float32)


def _crop(rng: np.random.Generator, field: Floats, shape: tuple[int, int]) -> Floats:
    """Return a random window of a periodic field, repeated where `shape` is larger."""
    dy, dx = rng.integers(0, field.shape[0], 2)
    rolled = np.roll(field, (int(dy), int(dx)), axis=(0, 1))
    repeats = [-(-n // field.shape[0]) for n in shape]
    if max(repeats) > 1:
        rolled = np.tile(rolled, repeats)
    return rolled[: shape[0], : shape[1]]


def _spread(points: NDArray[Any], distance: float) -> NDArray[Any]:
    """Return those points that have no earlier one within `distance`."""
    pairs = cKDTree(points).query_pairs(distance, output_type="ndarray")
    keep = np.ones(len(points), bool)
    keep[pairs.max(axis=1)] = False
    return points[keep]


def place(
    rng: np.random.Generator, shape: tuple[int, int], radius: float, density: float, islands: Floats
) -> Cells:
    """Scatter cells over a well, denser on islands, no two nuclei closer than they can lie.

    Parameters
    ----------
    shape
        Height and width of the well, px.
    radius
        Mean radius of a nucleus, px.
    density
        Cells in a million pixels; as many as fit where that is too many.
    islands
        Periodic field that says where cells like to sit.

    Returns
    -------
    Cells
        All nuclei lie whole within the well, so that every one can be counted.
    """
    margin = 1.7 * radius
    room = np.array(shape) - 2 * margin
    wanted = rng.poisson(density * shape[0] * shape[1] / 1e6)
    liking = 1 / (1 + np.exp(-1.6 * _crop(rng, islands, shape)))
    points = np.empty((0, 2))
    for _ in range(6):
        if len(points) >= wanted or (room <= 0).any():
            break
        new = rng.random((2 * wanted + 8, 2)) * room + margin
        liked = liking[new[:, 0].astype(int), new[:, 1].astype(int)] > rng.random(len(new))
        points = _spread(np.concatenate([points, new[liked]]), 2.45 * radius)
    points = points[:wanted]
    n = len(points)
    values = {
        "y": points[:, 0],
        "x": points[:, 1],
        "radius": radius * np.clip(rng.normal(1, 0.09, n), 0.78, 1.22),
        "elongation": 1 + np.abs(rng.normal(0.12, 0.12, n)).clip(0, 0.45),
        "angle": rng.random(n) * np.pi,
        "brightness": np.exp(rng.normal(0, 0.16, n)),
        "reach": radius * np.clip(rng.normal(2.9, 0.45, n), 1.9, 4.2),
    }
    return Cells(**{name: v.astype(np.float32) for name, v in values.items()})


def moved(
    rng: np.random.Generator, cells: Cells, shape: tuple[int, int], drift: tuple[float, float]
) -> Cells:
    """Return the cells one time step later: all drift together, each wanders a little by itself."""
    margin = 1.7 * float(cells.radius.max(initial=1.0))
    steps = rng.normal(0, 0.6, (2, len(cells))).astype(np.float32)
    return replace(
        cells,
        y=np.clip(cells.y + steps[0] + np.float32(drift[0]), margin, shape[0] - margin),
        x=np.clip(cells.x + steps[1] + np.float32(drift[1]), margin, shape[1] - margin),
    )


def _territories(cells: Cells, shape: tuple[int, int]) -> tuple[Floats, NDArray[np.intp]]:
    """Return each pixel's distance to the nearest nucleus' centre, px, and that cell's number."""
    rows, columns = cells.y.astype(int), cells.x.astype(int)
    seeds = np.ones(shape, np.uint8)
    seeds[rows, columns] = 0
    distance, labels = cv2.distanceTransformWithLabels(
        seeds, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    number = np.zeros(int(labels.max()) + 1, np.intp)
    number[labels[rows, columns]] = np.arange(len(cells))
    return np.asarray(distance, np.float32), number[np.asarray(labels)]


def _nuclei(
    cells: Cells, distance: Floats, owner: NDArray[np.intp], wobble: Floats, grain: Floats
) -> Floats:
    """Draw the nuclei: ellipses with an uneven border, a dome of brightness and chromatin grain."""
    image = np.zeros(distance.shape, np.float32)
    near = np.flatnonzero(distance < 1.9 * float(cells.radius.max()))
    cell = owner.ravel()[near]
    dy = (near // distance.shape[1]).astype(np.float32) - cells.y[cell]
    dx = (near % distance.shape[1]).astype(np.float32) - cells.x[cell]
    cosine, sine = np.cos(cells.angle)[cell], np.sin(cells.angle)[cell]
    stretch = np.sqrt(cells.elongation)
    long = (dx * cosine + dy * sine) / stretch[cell]
    short = (dy * cosine - dx * sine) * stretch[cell]
    rho = np.sqrt(long**2 + short**2) / (cells.radius[cell] * (1 + 0.05 * wobble.ravel()[near]))
    inside = np.clip((1 - rho) * (cells.radius[cell] / 1.6) + 0.5, 0, 1)
    dome = 0.72 + 0.28 * np.sqrt(np.clip(1 - rho**2, 0, 1))
    chromatin = np.clip(1 + 0.14 * grain.ravel()[near], 0.5, 1.6)
    image.ravel()[near] = inside * dome * chromatin * cells.brightness[cell]
    return image


def _cytoplasm(
    cells: Cells, distance: Floats, owner: NDArray[np.intp], wobble: Floats, fibres: Floats
) -> Floats:
    """Draw the cell bodies: thick near the nucleus, uneven at the rim, thin where two cells meet."""
    reach = cells.reach[owner] + 0.9 * float(cells.radius.mean()) * wobble
    reach = np.maximum(reach, 1.5 * cells.radius[owner])
    body = np.clip((reach - distance) / 7, 0, 1)
    body *= 0.35 + 0.65 * np.exp(-distance / (1.7 * float(cells.radius.mean())))
    body *= cells.brightness[owner] * np.clip(1 + 0.16 * fibres, 0.4, 1.8)
    seam = np.zeros(distance.shape, np.float32)
    seam[:, 1:] = owner[:, 1:] != owner[:, :-1]
    seam[1:] = np.maximum(seam[1:], owner[1:] != owner[:-1])
    body *= 1 - 0.6 * np.clip(cv2.GaussianBlur(seam, (0, 0), 1.3) * 2, 0, 1)
    return np.asarray(body, np.float32)


def _spots(rng: np.random.Generator, cells: Cells, shape: tuple[int, int]) -> Floats:
    """Draw a handful of vesicles around each nucleus."""
    each = rng.poisson(7, len(cells))
    cell = np.repeat(np.arange(len(cells)), each)
    angle = rng.random(len(cell)) * 2 * np.pi
    away = cells.radius[cell] * (1.15 + 1.1 * rng.random(len(cell)))
    rows = np.rint(cells.y[cell] + away * np.sin(angle)).astype(int)
    columns = np.rint(cells.x[cell] + away * np.cos(angle)).astype(int)
    on = (rows >= 0) & (rows < shape[0]) & (columns >= 0) & (columns < shape[1])
    image = np.zeros(shape, np.float32)
    weight = (rng.gamma(2.0, 0.5, len(cell)) * cells.brightness[cell]).astype(np.float32)
    np.add.at(image, (rows[on], columns[on]), weight[on])
    sigma = 1.3
    blurred = cv2.GaussianBlur(image, (0, 0), sigma)
    return np.asarray(blurred * np.float32(2 * np.pi * sigma**2), np.float32)


def draw(
    rng: np.random.Generator,
    cells: Cells,
    shape: tuple[int, int],
    banks: dict[str, Floats],
    *,
    spots: bool,
) -> Anatomy:
    """Return what of each pixel of a well is nucleus, cytoplasm and spots.

    Parameters
    ----------
    shape
        Height and width of the well, px.
    banks
        Periodic noise fields ``wobble``, ``grain``, ``fibres``.
    spots
        Whether any stain shows them.
    """
    if not len(cells):
        empty = np.zeros(shape, np.float32)
        return Anatomy(empty, empty, empty)
    distance, owner = _territories(cells, shape)
    wobble = _crop(rng, banks["wobble"], shape)
    nucleus = _nuclei(cells, distance, owner, wobble, _crop(rng, banks["grain"], shape))
    cytoplasm = _cytoplasm(cells, distance, owner, wobble, _crop(rng, banks["fibres"], shape))
    vesicles = np.zeros((1, 1), np.float32)
    if spots:
        vesicles = _spots(rng, cells, shape) * np.clip(3 * cytoplasm, 0, 1)
    return Anatomy(nucleus, cytoplasm, vesicles)

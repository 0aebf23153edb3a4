"""Size and shape of objects in three dimensions; entry point: `volume_features`."""

from __future__ import annotations

from functools import cache

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gpu_workers.imaging.features.description import FeatureDescription
from gpu_workers.imaging.features.pixels import object_pixels
from gpu_workers.imaging.labels import Labels
from gpu_workers.xp import operation

Column = NDArray[np.float64]

# One of each pair of opposite directions to the 26 voxels around one.
_DIRECTIONS = np.array(
    [
        (z, y, x)
        for z in (0, 1)
        for y in (-1, 0, 1)
        for x in (-1, 0, 1)
        if (z, y, x) > (0, 0, 0)
    ],
    np.int64,
)  # fmt: skip


def _described(
    name: str, formula: str, unit: str = "", peers: tuple[str, str] = ("", "")
) -> FeatureDescription:
    named = zip(("scikit-image", "cp_measure"), peers, strict=True)
    found = {library: column for library, column in named if column}
    return FeatureDescription(
        f"Morphology_{name}", formula, unit, "scikit-image regionprops", found, dimensions=(3,)
    )


DESCRIPTIONS = (
    _described("Local_Centroid_x", "mean x of the voxels; also in µm", "px",
               ("centroid-2", "Center_X")),
    _described("Local_Centroid_y", "mean y of the voxels; also in µm", "px",
               ("centroid-1", "Center_Y")),
    _described("Local_Centroid_z", "mean z of the voxels, planes; also in µm", "plane",
               ("centroid-0", "Center_Z")),
    _described("Voxel_Count", "number of voxels", "", ("num_pixels", "")),
    _described("Volume", "voxels times distance of planes over pixel size (1 where these aren't "
               "known); also in µm³", "px³", ("area", "Volume")),
    FeatureDescription(
        "Morphology_Surface_Area",
        "2 sum_d c_d N_d v / l_d: crossings N of the outline by lines in 13 directions, l their step, "
        "v a voxel's volume, c the direction's share of the sphere; also in µm²",
        "px²", "Crofton; G. Lehmann and D. Legland 2012", {},
        {"cp_measure": "area of the marching-cubes mesh through the voxels outside: larger"}, (3,),
    ),
    FeatureDescription(
        "Morphology_Sphericity", "surface of the sphere of the same volume over the surface area", "",
        "H. Wadell 1935", dimensions=(3,),
    ),
    _described("Equivalent_Diameter", "diameter of the sphere of the same volume; also in µm", "px",
               ("equivalent_diameter_area", "EquivalentDiameter")),
    _described("Major_Axis_Length", "long axis of the ellipsoid with the same second moments; also in "
               "µm", "px", ("axis_major_length", "MajorAxisLength")),
    _described("Middle_Axis_Length", "middle axis of that ellipsoid; also in µm", "px"),
    _described("Minor_Axis_Length", "short axis of that ellipsoid; also in µm", "px",
               ("axis_minor_length", "MinorAxisLength")),
    _described("Elongation", "(major - minor axis) / major axis"),
    _described("Extent", "volume over volume of the upright box", "", ("extent", "Extent")),
    _described("Volume_Bounding_Box", "volume of the upright box; also in µm³", "px³",
               ("area_bbox", "BoundingBoxVolume")),
    _described("Euler_Number", "parts minus tunnels plus hollows (26-connected)", "",
               ("euler_number", "EulerNumber")),
    _described("Bounding_Box_Minimum_z", "first plane of the upright box", "plane",
               ("bbox-0", "BoundingBoxMinimum_Z")),
    _described("Bounding_Box_Minimum_y", "first row of the upright box; also in µm", "px",
               ("bbox-1", "BoundingBoxMinimum_Y")),
    _described("Bounding_Box_Minimum_x", "first column of the upright box; also in µm", "px",
               ("bbox-2", "BoundingBoxMinimum_X")),
    _described("Bounding_Box_Maximum_z", "plane behind the upright box", "plane",
               ("bbox-3", "BoundingBoxMaximum_Z")),
    _described("Bounding_Box_Maximum_y", "row behind the upright box; also in µm", "px",
               ("bbox-4", "BoundingBoxMaximum_Y")),
    _described("Bounding_Box_Maximum_x", "column behind the upright box; also in µm", "px",
               ("bbox-5", "BoundingBoxMaximum_X")),
)  # fmt: skip


@njit(nogil=True, cache=True)
def _coordinates(place: int, height: int, width: int) -> tuple[int, int, int]:
    line = place // width
    return line // height, line % height, place - line * width


@njit(nogil=True, cache=True)
def _moments(
    start: NDArray[np.int64], position: NDArray[np.uint32], height: int, width: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Return means (z, y, x), covariances (zz, yy, xx, zy, zx, yx) and boxes of the voxels."""
    n = start.size - 1
    means = np.full((n, 3), np.nan)
    spreads = np.zeros((n, 6))
    boxes = np.zeros((n, 6), np.int64)
    for k in range(n):
        size = start[k + 1] - start[k]
        if size == 0:
            continue
        boxes[k, :3] = 1 << 40
        first = _coordinates(int(position[start[k]]), height, width)
        sums = np.zeros(9)
        for i in range(start[k], start[k + 1]):
            place = _coordinates(int(position[i]), height, width)
            z, y, x = place[0] - first[0], place[1] - first[1], place[2] - first[2]
            sums += np.array([z, y, x, z * z, y * y, x * x, z * y, z * x, y * x], np.float64)
            for axis in range(3):
                boxes[k, axis] = min(boxes[k, axis], place[axis])
                boxes[k, 3 + axis] = max(boxes[k, 3 + axis], place[axis] + 1)
        sums /= size
        for axis in range(3):
            means[k, axis] = sums[axis] + first[axis]
            spreads[k, axis] = sums[3 + axis] - sums[axis] ** 2
        spreads[k, 3] = sums[6] - sums[0] * sums[1]
        spreads[k, 4] = sums[7] - sums[0] * sums[2]
        spreads[k, 5] = sums[8] - sums[1] * sums[2]
    return means, spreads, boxes


@njit(nogil=True, cache=True)
def _label_at(labels: Labels, z: int, y: int, x: int) -> int:
    depth, height, width = labels.shape
    if z < 0 or y < 0 or x < 0 or z >= depth or y >= height or x >= width:
        return 0
    return int(labels[z, y, x])


@njit(nogil=True, cache=True)
def _crossings(labels: Labels, n: int, directions: NDArray[np.int64]) -> NDArray[np.int64]:
    """Count per direction how often lines through voxels enter or leave each object."""
    counts = np.zeros((n, directions.shape[0]), np.int64)
    depth, height, width = labels.shape
    for z in range(depth):
        for y in range(height):
            for x in range(width):
                label = labels[z, y, x]
                if label <= 0:
                    continue
                for d in range(directions.shape[0]):
                    dz, dy, dx = directions[d]
                    if _label_at(labels, z + dz, y + dy, x + dx) != label:
                        counts[label - 1, d] += 1
                    if _label_at(labels, z - dz, y - dy, x - dx) != label:
                        counts[label - 1, d] += 1
    return counts


@cache
def _direction_shares(z_scale: float) -> NDArray[np.float64]:
    """Return 2 v c_d / l_d of each direction: the parts of the sphere nearest to it, per step."""
    from scipy.spatial import SphericalVoronoi

    steps = _DIRECTIONS * (z_scale, 1, 1)
    lengths = np.linalg.norm(steps, axis=1)
    units = steps / lengths[:, None]
    areas = SphericalVoronoi(np.concatenate([units, -units])).calculate_areas()
    shares = (areas[: len(units)] + areas[len(units) :]) / (4 * np.pi)
    return np.asarray(2 * shares * z_scale / lengths)


@cache
def _euler_table() -> NDArray[np.float64]:
    """Return what 2 x 2 x 2 voxels add: their corner, its half edges, quarter faces, eighth voxels."""
    bits = np.arange(8)
    corners = np.stack([bits >> 2 & 1, bits >> 1 & 1, bits & 1], axis=1)
    table = np.zeros(256)
    for code in range(1, 256):
        filled = corners[(code >> bits & 1) > 0]
        edges = sum(len(np.unique(filled[:, axis])) for axis in range(3))
        faces = sum(len(np.unique(np.delete(filled, axis, 1), axis=0)) for axis in range(3))
        table[code] = 1 - edges / 2 + faces / 4 - len(filled) / 8
    return table


@njit(nogil=True, cache=True)
def _euler(labels: Labels, n: int, table: NDArray[np.float64]) -> NDArray[np.float64]:
    depth, height, width = labels.shape
    result = np.zeros(n)
    around = np.zeros(8, np.int64)
    for z in range(depth + 1):
        for y in range(height + 1):
            for x in range(width + 1):
                is_same = True
                for i in range(8):
                    around[i] = _label_at(
                        labels, z - 1 + (i >> 2), y - 1 + (i >> 1 & 1), x - 1 + (i & 1)
                    )
                    is_same &= around[i] == around[0]
                for i in range(0 if is_same else 8):
                    code = 0
                    for j in range(8):
                        if around[j] == around[i]:
                            # an object's first voxel counts for all of them
                            code = -1 if j < i else code | 1 << j
                        if code < 0:
                            break
                    if around[i] > 0 and code > 0:
                        result[around[i] - 1] += table[code]
    return result


def _axes(spreads: NDArray[np.float64], z_scale: float) -> NDArray[np.float64]:
    """Return minor, middle and major axis of the ellipsoids, shape (3, n)."""
    matrix = np.empty((len(spreads), 3, 3))
    for axis in range(3):
        matrix[:, axis, axis] = spreads[:, axis]
    for entry, (i, j) in enumerate(((0, 1), (0, 2), (1, 2))):
        matrix[:, i, j] = matrix[:, j, i] = spreads[:, 3 + entry]
    scale = np.array([z_scale, 1, 1])
    values = np.linalg.eigvalsh(matrix * scale[:, None] * scale)
    return np.asarray(np.sqrt(20 * np.maximum(values, 0)).T)


@operation
def volume_features(labels: Labels, z_scale: float = 1.0) -> dict[str, Column]:
    """Measure size and shape of all objects in space.

    Parameters
    ----------
    labels : ndarray of int32, shape (depth, height, width)
        Objects; 0 is background, numbers may be missing.
    z_scale
        Distance of planes over that of pixels.

    Returns
    -------
    dict of str to ndarray of float64, shape (n,)
        Names without class (see ``DESCRIPTIONS``), rows by label - 1; lengths in px. Of a label that
        doesn't occur voxels and volume are 0, all else NaN.

    Examples
    --------
    >>> found = volume_features(np.ones((2, 2, 2), np.int32), z_scale=2)
    >>> found["Voxel_Count"], found["Volume"], found["Euler_Number"]
    (array([8.]), array([16.]), array([1.]))
    """
    pixels = object_pixels(labels)
    values = np.ascontiguousarray(labels)
    n = pixels.area.size
    count = pixels.area.astype(np.float64)
    present = count > 0
    known = np.where(present, 1.0, np.nan)
    means, spreads, boxes = _moments(
        pixels.start, pixels.position, max(1, labels.shape[1]), max(1, labels.shape[2])
    )
    minor, middle, major = _axes(spreads, z_scale) * known
    surface = _crossings(values, n, _DIRECTIONS) @ _direction_shares(float(z_scale)) * known
    volume = count * z_scale
    box = np.prod(boxes[:, 3:] - boxes[:, :3], axis=1) * z_scale * known
    with np.errstate(invalid="ignore", divide="ignore"):
        sphericity = np.cbrt(np.pi) * np.cbrt(6 * volume) ** 2 / surface
        elongation = np.where(major > 0, (major - minor) / major, np.nan)
    columns: dict[str, Column] = {
        f"Local_Centroid_{name}": means[:, axis] for name, axis in (("x", 2), ("y", 1), ("z", 0))
    }
    columns |= {
        "Voxel_Count": count,
        "Volume": volume,
        "Surface_Area": surface,
        "Sphericity": sphericity,
        "Equivalent_Diameter": np.cbrt(6 * volume / np.pi) * known,
        "Major_Axis_Length": major,
        "Middle_Axis_Length": middle,
        "Minor_Axis_Length": minor,
        "Elongation": elongation,
        "Extent": volume / box,
        "Volume_Bounding_Box": box,
        "Euler_Number": _euler(values, n, _euler_table()) * known,
    }
    corners = np.where(present[:, None], boxes.astype(np.float64), np.nan)
    for k, end in enumerate(("Minimum", "Maximum")):
        for axis, name in enumerate("zyx"):
            columns[f"Bounding_Box_{end}_{name}"] = corners[:, 3 * k + axis]
    return {name: np.ascontiguousarray(values) for name, values in columns.items()}

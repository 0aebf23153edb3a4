"""Where objects of planes and stacks lie, and how points are shown."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from skimage.measure import regionprops

from gpu_workers.pipelines.description import ObjectOutput
from gpu_workers.pipelines.prepared import ObjectsFound
from gpu_workers.steps.jterator.indices import SiteIndices
from gpu_workers.steps.jterator.tables import (
    POINT_RADIUS,
    Owners,
    Plane,
    discs,
    geometry_of,
    object_table,
)
from tests.integration.mosaics import plates

SITE = (
    plates.layout([[(7, 9, 20, 30)]], ("uint16",), height=512, width=512, shard=512)
    .plates[0]
    .sites[0]
)


def stack(seed: int, n: int = 9) -> np.ndarray:
    """Return labels of 4 x 20 x 30 voxels of which some are missing."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(1, n + 1, (4, 20, 30)) * (rng.random((4, 20, 30)) < 0.3)
    labels[labels == 3] = 0
    return labels.astype(np.int32)


def test_a_stacks_geometry_is_scikit_images() -> None:
    labels = stack(1)

    found = geometry_of(labels)

    # sums of whole numbers: equal but for the order of additions
    for region in regionprops(labels):
        row = region.label - 1
        z, y, x = region.centroid
        np.testing.assert_allclose(
            [found.area[row], found.z[row], found.y[row], found.x[row]],
            [region.area, z, y, x],
            rtol=1e-12,
        )
        z0, y0, x0, z1, y1, x1 = region.bbox
        assert found.box[row].tolist() == [y0, x0, y1, x1]
        assert found.z_range[row].tolist() == [z0, z1]
    assert found.area[2] == 0


def test_an_object_that_others_hide_has_a_row_but_no_outline() -> None:
    labels = np.zeros((2, 20, 30), np.int32)
    labels[0, 3:6, 3:6], labels[1, 2:8, 2:8], labels[1, 12:14, 5:9] = 1, 2, 4
    output = ObjectOutput(name="Things", labels="x")
    columns = {"Size": np.array([9.0, 36, np.nan, 8])}
    plane = Plane(SITE, (SITE,), (0, 0, 20, 30), t=3, z=0)

    table, kept = object_table(ObjectsFound(labels, columns), ("Size",), plane, output, Owners())

    assert kept is labels
    assert table.label.tolist() == [1, 2, 4]
    assert np.diff(table.rings).tolist() == [0, 1, 1]
    assert table.points.tolist() == [0, 4, 8]
    # corners from the box's corner
    assert sorted(zip(table.dy[:4], table.dx[:4], strict=True)) == [(0, 0), (0, 6), (6, 0), (6, 6)]
    assert table.z.tolist() == [0, 1, 1]
    assert table.z_range.tolist() == [[0, 1], [1, 2], [1, 2]]
    assert table.features[:, 0].tolist() == [9, 36, 8]
    assert table.y.tolist() == [4 + 7, 4.5 + 7, 12.5 + 7]


def nearest(shape: tuple[int, int], y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return the label of the nearest centre within the radius of each pixel, the lower one of equals."""
    yy, xx = np.indices(shape)
    squared = (yy[..., None] - y) ** 2 + (xx[..., None] - x) ** 2
    found = np.argmin(squared, axis=-1)
    return np.where(squared.min(axis=-1) <= POINT_RADIUS**2, found + 1, 0)


@given(st.lists(st.tuples(st.integers(0, 11), st.integers(0, 14)), min_size=1, max_size=12))
def test_a_pixel_of_a_point_belongs_to_the_nearest_centre(centres: list[tuple[int, int]]) -> None:
    y, x = np.array(centres).T
    labels = np.arange(1, y.size + 1, dtype=np.int32)

    found = discs((12, 15), labels, y.astype(float), x.astype(float))

    np.testing.assert_array_equal(found, nearest((12, 15), y, x))


def test_points_of_a_stack_lie_in_the_plane_of_their_centre() -> None:
    labels = np.array([1, 2], np.int32)
    found = discs((3, 9, 9), labels, np.array([4.0, 4]), np.array([4.0, 4]), np.array([0, 2]))

    assert [sorted(np.unique(p)) for p in found] == [[0, 1], [0], [0, 2]]


def test_without_objects_there_are_empty_tables() -> None:
    for shape in ((20, 30), (3, 20, 30)):
        for representation in ("points", "polygons"):
            output = ObjectOutput.model_validate(
                {"name": "Things", "labels": "x", "representation": representation}
            )
            found = ObjectsFound(np.zeros(shape, np.int32), {"Size": np.zeros(0)})
            plane = Plane(SITE, (SITE,), (0, 0, 20, 30), t=0, z=0)

            table, kept = object_table(found, ("Size",), plane, output, Owners())

            assert table.n == 0
            assert table.features.shape == (0, 1)
            assert not kept.any()


def test_in_volumes_a_label_has_one_index_in_every_plane() -> None:
    # ordered by z of the centroid, then label, as tables of stacks are
    indices = SiteIndices(
        t=np.array([0, 0, 0], np.uint16),
        z=np.array([0, 1, 1], np.uint16),
        label=np.array([5, 2, 3], np.uint32),
        owned=np.array([True, True, False]),
        first=np.array([100]),
        volumes=True,
    )

    for z in range(3):
        assert indices.table(0, z).tolist() == [0, 0, 101, 0, 0, 100]

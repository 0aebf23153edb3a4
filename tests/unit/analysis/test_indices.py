"""Dense indices and the rule by which sites are pasted."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gpu_workers.imaging.ownership import owner_mask
from gpu_workers.pipelines.prepared import FeatureName
from gpu_workers.steps.jterator.indices import SiteIndices, first_indices
from gpu_workers.steps.jterator.painting import IndexPainter
from gpu_workers.steps.jterator.summary import describe
from tests.integration.mosaics import plates


@given(
    st.lists(st.lists(st.integers(0, 3), min_size=2, max_size=2), min_size=1, max_size=12),
    st.integers(1, 4),
)
def test_every_object_has_one_index_and_wells_are_ranges(
    counts: list[list[int]], n_wells: int
) -> None:
    table = np.array(counts, np.int64)
    wells = [list(range(w, len(counts), n_wells)) for w in range(n_wells)]

    first, ranges = first_indices(table, wells)

    expected = 1
    for well, (start, count) in zip(wells, ranges, strict=True):
        assert start == expected
        for t in range(2):
            for site in well:
                assert first[site, t] == expected
                expected += counts[site][t]
        assert start + count == expected


def test_tables_number_owned_labels_over_all_planes_of_a_time_point() -> None:
    # t 0: z 0 has labels 1, 2 (not owned), 3; z 1 has label 1; t 1: z 0 has label 5
    indices = SiteIndices(
        t=np.array([0, 0, 0, 0, 1], np.uint16),
        z=np.array([0, 0, 0, 1, 0], np.uint16),
        label=np.array([1, 2, 3, 1, 5], np.uint32),
        owned=np.array([True, False, True, True, True]),
        first=np.array([100, 200]),
    )

    assert indices.table(0, 0).tolist() == [0, 100, 0, 101]
    assert indices.table(0, 1).tolist() == [0, 102]
    assert indices.table(1, 0).tolist() == [0, 0, 0, 0, 0, 200]
    assert indices.table(1, 7).tolist() == [0]


def test_an_object_cut_by_the_seam_stays_whole_but_never_covers_another() -> None:
    made = plates.layout(
        [[(0, 0, 40, 60), (0, 40, 40, 60)]], ("uint16",), height=512, width=512, shard=512
    )
    plate = made.plates[0]
    left, right = np.zeros((2, 40, 60), np.uint32)
    left[5:15, 40:58] = 7  # reaches beyond the seam at plate column 50; the right site has no copy
    left[20:30, 45:58] = 8
    right[20:30, 14:30] = 9  # the right site's own object, at plate columns 54 to 70
    images = {0: left, 1: right}
    painter = IndexPainter(plate, 512, lambda site, _t, _z: images[site.index])

    shard = painter.paint((0, 0, 0), 0, 0)

    assert shard is not None
    assert owner_mask(plate.sites[0], [plate.sites[1]])[10].sum() == 50
    assert (shard[5:15, 40:58] == 7).all()
    assert (shard == 7).sum() == 10 * 18
    assert (shard[20:30, 45:54] == 8).all()
    assert (shard[20:30, 54:70] == 9).all()
    assert (shard == 9).sum() == 10 * 16


def test_no_site_no_shard() -> None:
    made = plates.layout([[(0, 0, 40, 60)]], ("uint16",), height=512, width=1024, shard=512)

    painter = IndexPainter(made.plates[0], 512, lambda *_: np.ones((40, 60), np.uint32))

    assert painter.paint((0, 0, 0), 0, 1) is None


def test_the_spread_of_a_feature_leaves_out_what_is_missing() -> None:
    feature = FeatureName("Morphology_Area", "px²")
    values = np.array([*range(1, 1001), np.nan, np.inf], np.float32)

    found = describe(feature, values)
    nothing = describe(feature, np.full(3, np.nan, np.float32))

    assert (found.min, found.max, found.n_missing) == (1, 1000, 2)
    np.testing.assert_allclose(
        [found.low, found.high], np.percentile(np.arange(1, 1001), [1, 99.9])
    )
    assert (nothing.min, nothing.low, nothing.n_missing) == (None, None, 3)

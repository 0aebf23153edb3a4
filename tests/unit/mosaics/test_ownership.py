"""Every covered pixel has exactly one owner: the site whose own border is farthest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpu_workers.imaging.ownership import overlap, owner_mask, owner_of


@dataclass(frozen=True)
class Box:
    index: int
    y: int
    x: int
    height: int
    width: int


boxes = st.lists(
    st.tuples(st.integers(0, 30), st.integers(0, 30), st.integers(1, 25), st.integers(1, 25)),
    min_size=1,
    max_size=6,
).map(lambda rows: [Box(i, *row) for i, row in enumerate(rows)])


def owners_by_definition(sites: list[Box]) -> np.ndarray:
    """Compare the claims of all sites pixel by pixel, in plain Python."""
    canvas = np.full((60, 60), -1)
    for y in range(60):
        for x in range(60):
            claims = []
            for site in sites:
                down = min(y - site.y, site.y + site.height - 1 - y)
                along = min(x - site.x, site.x + site.width - 1 - x)
                if min(down, along) >= 0:
                    claims.append((min(down, along), max(down, along), -site.index))
            if claims:
                canvas[y, x] = -max(claims)[2]
    return canvas


@settings(max_examples=60, deadline=None)
@given(boxes)
def test_masks_are_a_partition_as_defined(sites: list[Box]) -> None:
    expected = owners_by_definition(sites)

    counted = np.zeros((60, 60), int)
    owners = np.full((60, 60), -1)
    for site in sites:
        mask = owner_mask(site, sites)
        area = np.s_[site.y : site.y + site.height, site.x : site.x + site.width]
        counted[area] += mask
        owners[area][mask] = site.index

    assert np.array_equal(counted, expected >= 0)
    assert np.array_equal(owners, expected)


@settings(max_examples=60, deadline=None)
@given(boxes)
def test_points_and_masks_agree(sites: list[Box]) -> None:
    y, x = np.mgrid[:60, :60]

    owner = owner_of(y.ravel(), x.ravel(), sites)

    assert np.array_equal(owner.reshape(60, 60), owners_by_definition(sites))


def test_the_seam_of_a_row_is_the_straight_middle() -> None:
    left, right = Box(0, 0, 0, 40, 100), Box(1, 0, 90, 40, 100)

    mask = owner_mask(left, [right])

    assert mask[:, :95].all()
    assert not mask[:, 95:].any()


def test_without_overlap_everything_is_owned() -> None:
    site = Box(3, 10, 10, 5, 6)

    assert owner_mask(site, [site, Box(4, 15, 10, 5, 6)]).all()
    assert overlap(site, Box(4, 15, 10, 5, 6)) is None


@pytest.mark.parametrize(
    ("y", "x", "expected"), [(-0.4, 2, 0), (-0.6, 2, -1), (9.4, 9.4, 0), (9.6, 2, -1)]
)
def test_half_a_pixel_of_margin_belongs_to_the_site(y: float, x: float, expected: int) -> None:
    assert owner_of(np.array([y]), np.array([x]), [Box(0, 0, 0, 10, 10)]).tolist() == [expected]

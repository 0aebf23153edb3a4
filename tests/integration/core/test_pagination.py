"""Pages hold every row once, whatever the ordering and whatever happens between two pages."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rest_framework.exceptions import ParseError
from rest_framework.request import Request
from rest_framework.test import APIRequestFactory

from apps.core.pagination import CursorPagination
from apps.experiments.models import Site, Well
from tests.factories import PlateFactory, SiteFactory, WellFactory

pytestmark = pytest.mark.django_db


def _page(queryset: Any, address: str) -> tuple[list[Any], str | None, str | None]:
    pagination = CursorPagination()
    rows = pagination.paginate_queryset(queryset, Request(APIRequestFactory().get(address)))
    return rows, pagination.get_next_link(), pagination.get_previous_link()


def _all(queryset: Any, size: int) -> list[list[Any]]:
    pages: list[list[Any]] = []
    address: str | None = f"/?page_size={size}"
    while address:
        rows, address, _ = _page(queryset, address)
        pages.append(rows)
    return pages


@pytest.fixture
def wells() -> list[Well]:
    plates = [PlateFactory(), PlateFactory()]
    for plate in plates:
        for row in range(3):
            for column in range(3):
                WellFactory(plate=plate, row=row, column=column)
    return list(Well.objects.order_by("plate_id", "row", "column"))


@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(size=st.integers(1, 20))
def test_pages_together_are_the_list(wells: list[Well], size: int) -> None:
    pages = _all(Well.objects.order_by("plate_id", "-row", "column"), size)

    expected = sorted(wells, key=lambda w: (w.plate_id, -w.row, w.column))
    assert [w.id for page in pages for w in page] == [w.id for w in expected]
    assert all(len(page) == size for page in pages[:-1])


def test_ties_of_the_whole_ordering_are_broken_by_the_id(wells: list[Well]) -> None:
    pages = _all(Well.objects.order_by("height"), 5)

    assert {w.id for page in pages for w in page} == {w.id for w in wells}
    assert sum(map(len, pages)) == len(wells)


def test_previous_goes_back_over_the_same_pages(wells: list[Well]) -> None:
    rows = Well.objects.order_by("plate_id", "row", "column")
    first, forward, none = _page(rows, "/?page_size=7")
    _, _, back = _page(rows, str(forward))

    again, _, before = _page(rows, str(back))

    assert none is None
    assert before is None
    assert again == first


def test_a_row_that_comes_between_two_pages_hides_no_other(wells: list[Well]) -> None:
    rows = Well.objects.order_by("row", "column")
    first, forward, _ = _page(rows, "/?page_size=4")
    WellFactory(plate=wells[0].plate, row=0, column=9, name="A99")

    rest = _page(rows, str(forward).replace("page_size=4", "page_size=100"))[0]

    assert {w.id for w in wells} <= {w.id for w in [*first, *rest]}


def test_orderings_over_relations_and_times_work(wells: list[Well]) -> None:
    for index, well in enumerate(wells):
        SiteFactory(well=well, index=index)

    by_plate = _all(Site.objects.select_related("well").order_by("well__plate_id", "index"), 4)
    by_time = _all(Site.objects.order_by("-created_at"), 4)

    assert sum(map(len, by_plate)) == sum(map(len, by_time)) == len(wells)
    assert len({s.id for page in by_time for s in page}) == len(wells)


@pytest.mark.parametrize(
    "cursor",
    ["x", "%00", "bnVsbA", "WyJuIl0", "WyJuIiwxLDIsMyw0XQ", "WyJuIiwiYSIsImIiLCJjIl0", "é"],
)
def test_a_cursor_of_another_list_is_refused(wells: list[Well], cursor: str) -> None:
    with pytest.raises(ParseError):
        _page(Well.objects.order_by("row", "column"), f"/?cursor={cursor}")


def test_the_page_size_is_bounded(wells: list[Well]) -> None:
    rows, _, _ = _page(Well.objects.order_by("row"), "/?page_size=100000")
    default, _, _ = _page(Well.objects.order_by("row"), "/?page_size=-1")

    assert len(rows) == len(default) == len(wells)

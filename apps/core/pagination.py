"""Cursor pagination over any ordering: the place in the list is the last row's sort key."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.core.exceptions import FieldError, ValidationError
from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import Model, Q, QuerySet
from rest_framework import pagination
from rest_framework.exceptions import ParseError
from rest_framework.request import Request
from rest_framework.utils.urls import replace_query_param


def _value(row: Any, field: str) -> Any:
    name = field.lstrip("-")
    for part in name.split("__"):
        row = getattr(row, part)
    return row.pk if isinstance(row, Model) else row


def _after(ordering: Sequence[str], values: Sequence[Any], *, backwards: bool) -> Q:
    """Return the condition "comes after these values in this ordering" (before, if backwards)."""
    condition = Q()
    equal = Q()
    for field, value in zip(ordering, values, strict=True):
        name = field.lstrip("-")
        lookup = "lt" if field.startswith("-") != backwards else "gt"
        condition |= equal & Q(**{f"{name}__{lookup}": value})
        equal &= Q(**{name: value})
    return condition


class CursorPagination(pagination.CursorPagination):
    """Pages of a queryset in its own ordering: ``{next, previous, results}``.

    Unlike the framework's own, it compares the whole sort key (which ends in the id), so ties cost
    nothing and rows that come or go between two pages neither repeat nor hide others. Fields of
    the ordering must not be null.
    """

    page_size = 100
    max_page_size = 1000
    page_size_query_param = "page_size"

    def paginate_queryset(  # type: ignore[override]
        self,
        queryset: QuerySet[Any],
        request: Request,
        view: Any = None,  # noqa: ARG002
    ) -> list[Any]:
        """Return the rows of the page that the request's cursor names."""
        self._address = request.build_absolute_uri()
        size = self.get_page_size(request) or self.page_size
        ordering = self._ordering(queryset)
        backwards, values = self._decoded(request, len(ordering))
        rows = queryset.order_by(*ordering)
        if backwards:
            rows = rows.reverse()
        if values is not None:
            try:
                found = list(rows.filter(_after(ordering, values, backwards=backwards))[: size + 1])
            except (ValueError, TypeError, ValidationError, FieldError):
                raise ParseError("the cursor is not one of this list") from None
        else:
            found = list(rows[: size + 1])
        more, page = len(found) > size, found[:size]
        if backwards:
            page.reverse()
        self._links(page, ordering, before=values is not None, more=more, backwards=backwards)
        return page

    def _ordering(self, queryset: QuerySet[Any]) -> tuple[str, ...]:
        meta = queryset.model._meta  # noqa: SLF001
        fields = tuple(queryset.query.order_by or meta.ordering or ())
        return fields if fields and fields[-1].lstrip("-") in {"id", "pk"} else (*fields, "id")

    def _links(
        self, page: list[Any], ordering: Sequence[str], *, before: bool, more: bool, backwards: bool
    ) -> None:
        has_next, has_previous = (before, more) if backwards else (more, before)
        self._next = self._link(page[-1], ordering, "n") if page and has_next else None
        self._previous = self._link(page[0], ordering, "p") if page and has_previous else None

    def _link(self, row: Any, ordering: Sequence[str], direction: str) -> str:
        place = [direction, *(_value(row, field) for field in ordering)]
        text = json.dumps(place, cls=_Encoder, separators=(",", ":"))
        cursor = urlsafe_b64encode(text.encode()).decode().rstrip("=")
        return replace_query_param(self._address, self.cursor_query_param, cursor)

    def _decoded(self, request: Request, length: int) -> tuple[bool, list[Any] | None]:
        encoded = request.query_params.get(self.cursor_query_param)
        if not encoded:
            return False, None
        try:
            padded = encoded + "=" * (-len(encoded) % 4)
            direction, *values = json.loads(urlsafe_b64decode(padded.encode("ascii")))
        except (ValueError, TypeError):
            raise ParseError("the cursor is malformed") from None
        plain = all(isinstance(v, str | int | float) for v in values)
        if direction not in {"n", "p"} or len(values) != length or not plain:
            raise ParseError("the cursor is not one of this list")
        if any("\x00" in v for v in values if isinstance(v, str)):
            raise ParseError("the cursor is not one of this list")
        return direction == "p", values

    def get_next_link(self) -> str | None:
        """Return the address of the next page."""
        return self._next

    def get_previous_link(self) -> str | None:
        """Return the address of the page before."""
        return self._previous


class _Encoder(DjangoJSONEncoder):
    """JSON with whole microseconds: a cut time would skip rows."""

    def default(self, o: Any) -> Any:
        if hasattr(o, "isoformat"):
            return o.isoformat()
        return str(o) if isinstance(o, UUID) else super().default(o)

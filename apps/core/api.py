"""What every endpoint of the API is built from: the view's base, pages, validated input."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar, cast

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema, inline_serializer
from rest_framework import serializers
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.core.pagination import CursorPagination

if TYPE_CHECKING:
    from apps.accounts.models import User

F = TypeVar("F", bound=Callable[..., Any])


class Endpoint(APIView):
    """A view for people who have signed in; what they may see, selectors and services decide."""

    permission_classes = [IsAuthenticated]

    @property
    def user(self) -> User:
        """The person who asks; nobody else gets past `permission_classes`."""
        return cast("User", self.request.user)

    def valid(self, serializer: type[serializers.Serializer[Any]], *, partial: bool = False) -> Any:
        """Return the request's body, checked; raises the framework's ValidationError."""
        found = serializer(data=self.request.data, partial=partial)
        found.is_valid(raise_exception=True)
        return found.validated_data

    def query(self, serializer: type[serializers.Serializer[Any]]) -> Any:
        """Return the request's query parameters, checked."""
        found = serializer(data=self.request.query_params)
        found.is_valid(raise_exception=True)
        return found.validated_data

    def page(
        self,
        request: Request,
        queryset: QuerySet[Any],
        serializer: type[serializers.BaseSerializer[Any]],
        **context: Any,
    ) -> Response:
        """Return the page of a queryset that the request asks for."""
        paginator = CursorPagination()
        rows = paginator.paginate_queryset(queryset, request, view=self)
        data = serializer(rows, many=True, context={"request": request, **context}).data
        return paginator.get_paginated_response(data)


@cache
def page_of(serializer: type[serializers.Serializer[Any]]) -> serializers.Serializer[Any]:
    """Return the OpenAPI shape of a page of something."""
    return inline_serializer(
        name=f"{serializer.__name__.removesuffix('Serializer')}Page",
        fields={
            "next": serializers.CharField(allow_null=True),
            "previous": serializers.CharField(allow_null=True),
            "results": serializer(many=True),
        },
    )


PAGE_PARAMETERS = [
    OpenApiParameter("cursor", str, description="where to go on; from `next` or `previous`"),
    OpenApiParameter("page_size", int, description="rows a page, 100 unless told, at most 1000"),
]


def lists(
    serializer: type[serializers.Serializer[Any]],
    *parameters: OpenApiParameter | type[serializers.Serializer[Any]],
) -> Callable[[F], F]:
    """Describe a GET that returns a page of something."""
    return extend_schema(responses=page_of(serializer), parameters=[*parameters, *PAGE_PARAMETERS])

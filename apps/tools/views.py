"""Endpoints of the tools; `routes` is what the API includes."""

from uuid import UUID

from django.http import HttpResponse
from django.urls import URLPattern, path
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from apps.core.api import Endpoint, lists
from apps.tools import selectors, services
from apps.tools.serializers import (
    RenameSerializer,
    ToolRequestSerializer,
    ToolResultSerializer,
    ToolSerializer,
    ValuesQuerySerializer,
)


class ToolListView(Endpoint):
    """The tools there are."""

    @extend_schema(responses=ToolSerializer(many=True))
    def get(self, request: Request) -> Response:
        """List every tool with the JSON Schema of its arguments."""
        return Response(ToolSerializer(selectors.tools_describe(), many=True).data)


class ToolRequestView(Endpoint):
    """Ask a tool for a result."""

    @extend_schema(request=ToolRequestSerializer, responses={202: ToolResultSerializer})
    def post(self, request: Request, experiment_id: UUID) -> Response:
        """Submit a request; the answer is the result that will be filled."""
        data = self.valid(ToolRequestSerializer)
        result = services.tool_request(user=self.user, experiment_id=experiment_id, **data)
        return Response(ToolResultSerializer(result).data, status=status.HTTP_202_ACCEPTED)


class ToolResultListView(Endpoint):
    """The results of an experiment."""

    @lists(ToolResultSerializer)
    def get(self, request: Request, experiment_id: UUID) -> Response:
        """List results, newest first, in pages."""
        results = selectors.tool_results_list(user=self.user, experiment_id=experiment_id)
        plates = selectors.plates_seen(user=self.user, experiment_id=experiment_id)
        return self.page(request, results, ToolResultSerializer, plates=plates)


class ToolResultView(Endpoint):
    """One result."""

    @extend_schema(responses=ToolResultSerializer)
    def get(self, request: Request, experiment_id: UUID, result_id: UUID) -> Response:
        """Return a result: its state and, when it is done, what it shows."""
        result = selectors.tool_result_get(
            user=self.user, experiment_id=experiment_id, result_id=result_id
        )
        plates = selectors.plates_seen(user=self.user, experiment_id=experiment_id)
        return Response(ToolResultSerializer(result, context={"plates": plates}).data)

    @extend_schema(request=RenameSerializer, responses=ToolResultSerializer)
    def patch(self, request: Request, experiment_id: UUID, result_id: UUID) -> Response:
        """Rename a result."""
        data = self.valid(RenameSerializer)
        result = services.tool_result_rename(
            user=self.user, experiment_id=experiment_id, result_id=result_id, **data
        )
        return Response(ToolResultSerializer(result).data)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, experiment_id: UUID, result_id: UUID) -> Response:
        """Delete a result."""
        services.tool_result_delete(
            user=self.user, experiment_id=experiment_id, result_id=result_id
        )
        return Response(status=status.HTTP_204_NO_CONTENT)


class ToolResultValuesView(Endpoint):
    """The values of a result."""

    @extend_schema(
        parameters=[ValuesQuerySerializer],
        responses={(200, "application/octet-stream"): OpenApiResponse(OpenApiTypes.BINARY)},
    )
    def get(self, request: Request, experiment_id: UUID, result_id: UUID) -> HttpResponse:
        """Return the values of one plate, little-endian, value i for the object of index i + 1."""
        data = self.query(ValuesQuerySerializer)
        raw, low, high, count = selectors.tool_result_values(
            user=self.user,
            experiment_id=experiment_id,
            result_id=result_id,
            plate_id=data["plate"],
            as_bytes=data["format"] == "u1",
            low=data.get("low"),
            high=data.get("high"),
        )
        headers = {"X-Low": repr(low), "X-High": repr(high), "X-Count": str(count)}
        headers["Cache-Control"] = "private, max-age=31536000, immutable"
        return HttpResponse(raw, content_type="application/octet-stream", headers=headers)


_result = "experiments/<uuid:experiment_id>/tool-results/<uuid:result_id>/"
routes: list[URLPattern] = [
    path("tools/", ToolListView.as_view(), name="tool-list"),
    path(
        "experiments/<uuid:experiment_id>/tool-requests/",
        ToolRequestView.as_view(),
        name="tool-request",
    ),
    path(
        "experiments/<uuid:experiment_id>/tool-results/",
        ToolResultListView.as_view(),
        name="tool-result-list",
    ),
    path(_result, ToolResultView.as_view(), name="tool-result"),
    path(f"{_result}values/", ToolResultValuesView.as_view(), name="tool-result-values"),
]

"""Endpoints of what illumination correction and alignment found."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpResponse
from django.urls import URLPattern, path
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from apps.core.api import Endpoint
from apps.experiments import selectors, serializers


class IlluminationView(Endpoint):
    """Illumination statistics."""

    @extend_schema(responses=serializers.IlluminationSerializer)
    def get(self, request: Request, experiment_id: UUID) -> Response:
        """Return the current statistics of each channel, with pictures before and after."""
        found = selectors.illumination_get(user=self.user, experiment_id=experiment_id)
        context = {"experiment": experiment_id, "key": found["key"]}
        return Response(serializers.IlluminationSerializer(found, context=context).data)


class IlluminationPictureView(Endpoint):
    """A picture of illumination statistics."""

    @extend_schema(responses={(200, "image/png"): OpenApiResponse(OpenApiTypes.BINARY)})
    def get(
        self, request: Request, experiment_id: UUID, key: str, channel: int, picture: str
    ) -> HttpResponse:
        """Return a picture as PNG; what a version shows never changes."""
        data = selectors.illumination_picture(
            user=self.user,
            experiment_id=experiment_id,
            key=key,
            channel=channel,
            picture=picture,
        )
        headers = {"Cache-Control": "private, max-age=86400, immutable"}
        return HttpResponse(data, content_type="image/png", headers=headers)


class AlignmentView(Endpoint):
    """Alignment of cycles and sites."""

    @extend_schema(responses=serializers.AlignmentSerializer)
    def get(self, request: Request, experiment_id: UUID) -> Response:
        """Return the current alignment: reference, outliers, how each plate lies in each cycle."""
        found = selectors.alignment_get(user=self.user, experiment_id=experiment_id)
        return Response(serializers.AlignmentSerializer(found).data)


def _page(rows: list[dict[str, Any]], query: dict[str, Any]) -> dict[str, Any]:
    end = query["after"] + len(rows) if len(rows) == query["size"] else None
    return {"next": end, "results": rows}


class AlignmentWellListView(Endpoint):
    """Wells of an alignment."""

    @extend_schema(
        parameters=[serializers.RowsQuerySerializer],
        responses=serializers.WellAlignmentPageSerializer,
    )
    def get(self, request: Request, experiment_id: UUID) -> Response:
        """List the wells of a plate with their shifts, outliers and what remains."""
        query = self.query(serializers.RowsQuerySerializer)
        rows = selectors.alignment_wells(user=self.user, experiment_id=experiment_id, **query)
        page = _page(rows, query)
        return Response(serializers.WellAlignmentPageSerializer(page).data)


class AlignmentShiftListView(Endpoint):
    """Shifts of an alignment."""

    @extend_schema(
        parameters=[serializers.RowsQuerySerializer], responses=serializers.ShiftPageSerializer
    )
    def get(self, request: Request, experiment_id: UUID) -> Response:
        """List how each site of a plate is moved in each cycle, as measured and as used."""
        query = self.query(serializers.RowsQuerySerializer)
        rows = selectors.alignment_shifts(user=self.user, experiment_id=experiment_id, **query)
        return Response(serializers.ShiftPageSerializer(_page(rows, query)).data)


_one = "experiments/<uuid:experiment_id>/"
routes: list[URLPattern] = [
    path(f"{_one}illumination/", IlluminationView.as_view(), name="illumination"),
    path(
        f"{_one}illumination/<slug:key>/<int:channel>/<slug:picture>/",
        IlluminationPictureView.as_view(),
        name="illumination-picture",
    ),
    path(f"{_one}alignment/", AlignmentView.as_view(), name="alignment"),
    path(f"{_one}alignment/wells/", AlignmentWellListView.as_view(), name="alignment-well-list"),
    path(f"{_one}alignment/shifts/", AlignmentShiftListView.as_view(), name="alignment-shift-list"),
]

"""Endpoints of the layout, its corrections, and inspections of files before anything is converted."""

from __future__ import annotations

from uuid import UUID

from django.urls import URLPattern, path
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from apps.core.api import Endpoint, lists
from apps.experiments import selectors, serializers, services


class LayoutView(Endpoint):
    """The layout of an experiment."""

    @extend_schema(responses=serializers.LayoutSerializer)
    def get(self, request: Request, experiment_id: UUID) -> Response:
        """Return the current layout: plates, channels, acquisitions and what is wrong."""
        found = selectors.layout_get(user=self.user, experiment_id=experiment_id)
        return Response(serializers.LayoutSerializer(found).data)


class LayoutPlaneListView(Endpoint):
    """The planes of the layout."""

    @extend_schema(
        parameters=[serializers.PlaneQuerySerializer], responses=serializers.PlanePageSerializer
    )
    def get(self, request: Request, experiment_id: UUID) -> Response:
        """List which page of which file is which plane of a plate, well or site."""
        query = self.query(serializers.PlaneQuerySerializer)
        rows = selectors.layout_planes(user=self.user, experiment_id=experiment_id, **query)
        end = query["after"] + len(rows) if len(rows) == query["size"] else None
        return Response(serializers.PlanePageSerializer({"next": end, "results": rows}).data)


class LayoutCorrectionView(Endpoint):
    """Corrections of the layout."""

    @lists(serializers.LayoutEditSerializer)
    def get(self, request: Request, experiment_id: UUID) -> Response:
        """List all versions of the corrections, newest first: that one holds."""
        rows = selectors.layout_edits_list(user=self.user, experiment_id=experiment_id)
        return self.page(request, rows, serializers.LayoutEditSerializer)

    @extend_schema(
        request=serializers.LayoutCorrectSerializer, responses=serializers.LayoutEditSerializer
    )
    def put(self, request: Request, experiment_id: UUID) -> Response:
        """Replace the corrections; they hold from the next run of metaconfig on."""
        made = services.layout_correct(
            user=self.user,
            experiment_id=experiment_id,
            **self.valid(serializers.LayoutCorrectSerializer),
        )
        return Response(serializers.LayoutEditSerializer(made).data)


class InspectionListView(Endpoint):
    """Inspections of an acquisition's files."""

    @lists(serializers.InspectionSerializer)
    def get(self, request: Request, experiment_id: UUID, acquisition_id: UUID) -> Response:
        """List the last inspections, newest first."""
        rows = selectors.inspections_list(
            user=self.user, experiment_id=experiment_id, acquisition_id=acquisition_id
        )
        return self.page(request, rows, serializers.InspectionSerializer)

    @extend_schema(
        request=serializers.NewInspectionSerializer,
        responses={202: serializers.InspectionSerializer},
    )
    def post(self, request: Request, experiment_id: UUID, acquisition_id: UUID) -> Response:
        """Try a reader or a pattern on the files; the answer is the inspection that will be filled."""
        made = services.inspection_request(
            user=self.user,
            experiment_id=experiment_id,
            acquisition_id=acquisition_id,
            **self.valid(serializers.NewInspectionSerializer),
        )
        return Response(serializers.InspectionSerializer(made).data, status.HTTP_202_ACCEPTED)


class InspectionView(Endpoint):
    """One inspection."""

    @extend_schema(responses=serializers.InspectionSerializer)
    def get(
        self, request: Request, experiment_id: UUID, acquisition_id: UUID, inspection_id: UUID
    ) -> Response:
        """Return an inspection and, when it is done, what was seen."""
        found = selectors.inspection_get(
            user=self.user,
            experiment_id=experiment_id,
            acquisition_id=acquisition_id,
            inspection_id=inspection_id,
        )
        return Response(serializers.InspectionSerializer(found).data)


_one = "experiments/<uuid:experiment_id>/"
_acquisition = f"{_one}acquisitions/<uuid:acquisition_id>/"
routes: list[URLPattern] = [
    path(f"{_one}layout/", LayoutView.as_view(), name="layout"),
    path(f"{_one}layout/planes/", LayoutPlaneListView.as_view(), name="layout-plane-list"),
    path(f"{_one}layout/corrections/", LayoutCorrectionView.as_view(), name="layout-corrections"),
    path(f"{_acquisition}inspections/", InspectionListView.as_view(), name="inspection-list"),
    path(
        f"{_acquisition}inspections/<uuid:inspection_id>/",
        InspectionView.as_view(),
        name="inspection",
    ),
]

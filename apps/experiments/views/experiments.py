"""Endpoints of experiments, sharing and plates."""

from __future__ import annotations

from uuid import UUID

from django.urls import URLPattern, path
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from apps.core.api import Endpoint, lists
from apps.experiments import selectors, serializers, services


class ExperimentListView(Endpoint):
    """Experiments."""

    @lists(serializers.ExperimentSerializer)
    def get(self, request: Request) -> Response:
        """List the experiments that you may see, newest first."""
        rows = selectors.experiments_list(user=self.user)
        return self.page(request, rows, serializers.ExperimentSerializer)

    @extend_schema(
        request=serializers.NewExperimentSerializer,
        responses={201: serializers.ExperimentSerializer},
    )
    def post(self, request: Request) -> Response:
        """Make an experiment in one of your groups."""
        data = self.valid(serializers.NewExperimentSerializer)
        made = services.experiment_create(user=self.user, **data)
        found = selectors.experiment_detail(user=self.user, experiment_id=made.id)
        return Response(serializers.ExperimentSerializer(found).data, status.HTTP_201_CREATED)


class ExperimentView(Endpoint):
    """One experiment."""

    @extend_schema(responses=serializers.ExperimentSerializer)
    def get(self, request: Request, experiment_id: UUID) -> Response:
        """Return an experiment."""
        found = selectors.experiment_detail(user=self.user, experiment_id=experiment_id)
        return Response(serializers.ExperimentSerializer(found).data)

    @extend_schema(
        request=serializers.ExperimentChangeSerializer, responses=serializers.ExperimentSerializer
    )
    def patch(self, request: Request, experiment_id: UUID) -> Response:
        """Change an experiment's facts."""
        data = self.valid(serializers.ExperimentChangeSerializer, partial=True)
        services.experiment_update(user=self.user, experiment_id=experiment_id, **data)
        return self.get(request, experiment_id)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, experiment_id: UUID) -> Response:
        """Delete an experiment with everything in it; for owners."""
        services.experiment_delete(user=self.user, experiment_id=experiment_id)
        return Response(status=status.HTTP_204_NO_CONTENT)


class AccessListView(Endpoint):
    """Who may do what with an experiment."""

    @extend_schema(responses=serializers.AccessSerializer(many=True))
    def get(self, request: Request, experiment_id: UUID) -> Response:
        """List all grants; for owners. They are few, so they come in one page."""
        rows = selectors.access_list(user=self.user, experiment_id=experiment_id)
        found = serializers.AccessSerializer(rows, many=True).data
        return Response({"next": None, "previous": None, "results": found})

    @extend_schema(
        request=serializers.NewAccessSerializer, responses={201: serializers.AccessSerializer}
    )
    def post(self, request: Request, experiment_id: UUID) -> Response:
        """Give a user or a group a level on the experiment or on a part of it; for owners."""
        data = self.valid(serializers.NewAccessSerializer)
        made = services.access_grant(user=self.user, experiment_id=experiment_id, **data)
        return Response(serializers.AccessSerializer(made).data, status.HTTP_201_CREATED)


class AccessView(Endpoint):
    """Somebody's grant on an experiment or a part of it."""

    @extend_schema(parameters=[serializers.AccessPartSerializer], responses={204: None})
    def delete(self, request: Request, experiment_id: UUID, subject_id: UUID) -> Response:
        """Take a grant back: anybody's as an owner, else your own."""
        part = self.query(serializers.AccessPartSerializer)
        services.access_revoke(
            user=self.user, experiment_id=experiment_id, subject_id=subject_id, **part
        )
        return Response(status=status.HTTP_204_NO_CONTENT)


class PlateListView(Endpoint):
    """Plates of an experiment."""

    @lists(serializers.PlateSerializer)
    def get(self, request: Request, experiment_id: UUID) -> Response:
        """List the plates that you may see."""
        rows = selectors.plates_list(user=self.user, experiment_id=experiment_id)
        return self.page(request, rows, serializers.PlateSerializer)

    @extend_schema(
        request=serializers.PlateChangeSerializer, responses={201: serializers.PlateSerializer}
    )
    def post(self, request: Request, experiment_id: UUID) -> Response:
        """Add a plate."""
        data = self.valid(serializers.PlateChangeSerializer)
        made = services.plate_create(user=self.user, experiment_id=experiment_id, **data)
        return Response(serializers.PlateSerializer(made).data, status.HTTP_201_CREATED)


class PlateView(Endpoint):
    """One plate."""

    @extend_schema(responses=serializers.PlateSerializer)
    def get(self, request: Request, experiment_id: UUID, plate_id: UUID) -> Response:
        """Return a plate."""
        found = selectors.plate_get(user=self.user, experiment_id=experiment_id, plate_id=plate_id)
        return Response(serializers.PlateSerializer(found).data)

    @extend_schema(request=serializers.PlateChangeSerializer, responses=serializers.PlateSerializer)
    def patch(self, request: Request, experiment_id: UUID, plate_id: UUID) -> Response:
        """Rename or describe a plate."""
        data = self.valid(serializers.PlateChangeSerializer, partial=True)
        plate = services.plate_update(
            user=self.user, experiment_id=experiment_id, plate_id=plate_id, **data
        )
        return Response(serializers.PlateSerializer(plate).data)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, experiment_id: UUID, plate_id: UUID) -> Response:
        """Delete a plate with its acquisitions, mosaics and objects."""
        services.plate_delete(user=self.user, experiment_id=experiment_id, plate_id=plate_id)
        return Response(status=status.HTTP_204_NO_CONTENT)


_one = "experiments/<uuid:experiment_id>/"
routes: list[URLPattern] = [
    path("experiments/", ExperimentListView.as_view(), name="experiment-list"),
    path(_one, ExperimentView.as_view(), name="experiment"),
    path(f"{_one}access/", AccessListView.as_view(), name="access-list"),
    path(f"{_one}access/<uuid:subject_id>/", AccessView.as_view(), name="access"),
    path(f"{_one}plates/", PlateListView.as_view(), name="plate-list"),
    path(f"{_one}plates/<uuid:plate_id>/", PlateView.as_view(), name="plate"),
]

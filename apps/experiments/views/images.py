"""Endpoints of what the steps have found and made: wells, sites, channels, mosaics, objects."""

from __future__ import annotations

from uuid import UUID

from django.urls import URLPattern, path
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from apps.core.api import Endpoint, lists
from apps.experiments import selectors, serializers, services


class WellListView(Endpoint):
    """Wells."""

    @lists(serializers.WellSerializer, serializers.PlateQuerySerializer)
    def get(self, request: Request, experiment_id: UUID) -> Response:
        """List the wells by plate, row and column."""
        query = self.query(serializers.PlateQuerySerializer)
        rows = selectors.wells_list(user=self.user, experiment_id=experiment_id, **query)
        return self.page(request, rows, serializers.WellSerializer)


class SiteListView(Endpoint):
    """Sites."""

    @lists(serializers.SiteSerializer, serializers.SiteQuerySerializer)
    def get(self, request: Request, experiment_id: UUID) -> Response:
        """List the sites by plate and index."""
        query = self.query(serializers.SiteQuerySerializer)
        rows = selectors.sites_list(user=self.user, experiment_id=experiment_id, **query)
        return self.page(request, rows, serializers.SiteSerializer)


class CycleListView(Endpoint):
    """Cycles."""

    @lists(serializers.CycleSerializer)
    def get(self, request: Request, experiment_id: UUID) -> Response:
        """List the cycles."""
        rows = selectors.cycles_list(user=self.user, experiment_id=experiment_id)
        return self.page(request, rows, serializers.CycleSerializer)


class ChannelListView(Endpoint):
    """Channels."""

    @lists(serializers.ChannelSerializer)
    def get(self, request: Request, experiment_id: UUID) -> Response:
        """List the channels."""
        rows = selectors.channels_list(user=self.user, experiment_id=experiment_id)
        return self.page(request, rows, serializers.ChannelSerializer)


class ChannelView(Endpoint):
    """One channel."""

    @extend_schema(
        request=serializers.ChannelChangeSerializer, responses=serializers.ChannelSerializer
    )
    def patch(self, request: Request, experiment_id: UUID, channel_id: UUID) -> Response:
        """Set a channel's name or colour."""
        data = self.valid(serializers.ChannelChangeSerializer)
        channel = services.channel_update(
            user=self.user, experiment_id=experiment_id, channel_id=channel_id, **data
        )
        return Response(serializers.ChannelSerializer(channel).data)


class MosaicListView(Endpoint):
    """Mosaics."""

    @lists(serializers.MosaicSerializer, serializers.VersionQuerySerializer)
    def get(self, request: Request, experiment_id: UUID) -> Response:
        """List the mosaics, newest first."""
        query = self.query(serializers.VersionQuerySerializer)
        rows = selectors.mosaics_list(user=self.user, experiment_id=experiment_id, **query)
        channels = selectors.channels_by_index(experiment_id=experiment_id)
        return self.page(request, rows, serializers.MosaicSerializer, channels=channels)


class MosaicView(Endpoint):
    """One mosaic."""

    @extend_schema(responses=serializers.MosaicSerializer)
    def get(self, request: Request, experiment_id: UUID, mosaic_id: UUID) -> Response:
        """Return a mosaic."""
        mosaic = selectors.mosaic_get(
            user=self.user, experiment_id=experiment_id, mosaic_id=mosaic_id
        )
        context = {"channels": selectors.channels_by_index(experiment_id=experiment_id)}
        return Response(serializers.MosaicSerializer(mosaic, context=context).data)


class ObjectTypeListView(Endpoint):
    """Object types."""

    @lists(serializers.ObjectTypeSerializer)
    def get(self, request: Request, experiment_id: UUID) -> Response:
        """List the kinds of objects and their features."""
        rows = selectors.object_types_list(user=self.user, experiment_id=experiment_id)
        return self.page(request, rows, serializers.ObjectTypeSerializer)


class ObjectSetListView(Endpoint):
    """Object sets."""

    @lists(serializers.ObjectSetSerializer, serializers.ObjectSetQuerySerializer)
    def get(self, request: Request, experiment_id: UUID) -> Response:
        """List the object sets, newest first."""
        query = self.query(serializers.ObjectSetQuerySerializer)
        rows = selectors.object_sets_list(user=self.user, experiment_id=experiment_id, **query)
        return self.page(request, rows, serializers.ObjectSetSerializer)


class ObjectSetView(Endpoint):
    """One object set."""

    @extend_schema(responses=serializers.ObjectSetSerializer)
    def get(self, request: Request, experiment_id: UUID, object_set_id: UUID) -> Response:
        """Return an object set."""
        found = selectors.object_set_get(
            user=self.user, experiment_id=experiment_id, object_set_id=object_set_id
        )
        return Response(serializers.ObjectSetSerializer(found).data)


_one = "experiments/<uuid:experiment_id>/"
routes: list[URLPattern] = [
    path(f"{_one}wells/", WellListView.as_view(), name="well-list"),
    path(f"{_one}sites/", SiteListView.as_view(), name="site-list"),
    path(f"{_one}cycles/", CycleListView.as_view(), name="cycle-list"),
    path(f"{_one}channels/", ChannelListView.as_view(), name="channel-list"),
    path(f"{_one}channels/<uuid:channel_id>/", ChannelView.as_view(), name="channel"),
    path(f"{_one}mosaics/", MosaicListView.as_view(), name="mosaic-list"),
    path(f"{_one}mosaics/<uuid:mosaic_id>/", MosaicView.as_view(), name="mosaic"),
    path(f"{_one}object-types/", ObjectTypeListView.as_view(), name="object-type-list"),
    path(f"{_one}object-sets/", ObjectSetListView.as_view(), name="object-set-list"),
    path(f"{_one}object-sets/<uuid:object_set_id>/", ObjectSetView.as_view(), name="object-set"),
]

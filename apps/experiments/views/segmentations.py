"""Endpoints of segmentations that were made elsewhere."""

from __future__ import annotations

from typing import Any, cast
from uuid import UUID

from django.urls import URLPattern, path
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from apps.core.api import Endpoint, lists
from apps.experiments import selectors, serializers, services
from apps.experiments.views.files import RawParser, content_length


class SegmentationListView(Endpoint):
    """Label images that people uploaded."""

    parser_classes = [RawParser]

    @lists(serializers.SegmentationSerializer, serializers.SegmentationQuerySerializer)
    def get(self, request: Request, experiment_id: UUID) -> Response:
        """List the uploaded label images, newest first."""
        rows = selectors.segmentations_list(
            user=self.user,
            experiment_id=experiment_id,
            **self.query(serializers.SegmentationQuerySerializer),
        )
        return self.page(request, rows, serializers.SegmentationSerializer)

    @extend_schema(
        parameters=[serializers.NewSegmentationSerializer],
        request={"application/octet-stream": OpenApiTypes.BINARY},
        responses={201: serializers.SegmentationSerializer},
    )
    def post(self, request: Request, experiment_id: UUID) -> Response:
        """Send the label image of a site (TIFF or PNG, at most 16 MB); it waits for `publish`."""
        made = services.segmentation_add(
            user=self.user,
            experiment_id=experiment_id,
            content_length=content_length(request),
            body=cast("Any", request._request),  # noqa: SLF001
            **self.query(serializers.NewSegmentationSerializer),
        )
        return Response(serializers.SegmentationSerializer(made).data, status.HTTP_201_CREATED)


class SegmentationView(Endpoint):
    """One uploaded label image."""

    @extend_schema(responses={204: None})
    def delete(self, request: Request, experiment_id: UUID, upload_id: UUID) -> Response:
        """Take back a label image that waits or could not be taken in."""
        services.segmentation_delete(
            user=self.user, experiment_id=experiment_id, upload_id=upload_id
        )
        return Response(status=status.HTTP_204_NO_CONTENT)


class SegmentationPublishView(Endpoint):
    """The taking in of label images."""

    @extend_schema(request=None, responses={202: serializers.PublishedSerializer})
    def post(self, request: Request, experiment_id: UUID) -> Response:
        """Take in all label images that wait; pipelines may use them as soon as that is done."""
        rows = services.segmentations_publish(user=self.user, experiment_id=experiment_id)
        found = {"job": rows[0].job, "images": len(rows)}
        data = serializers.PublishedSerializer(found).data
        return Response(data, status.HTTP_202_ACCEPTED)


_S = "experiments/<uuid:experiment_id>/segmentations/"

routes: list[URLPattern] = [
    path(_S, SegmentationListView.as_view(), name="segmentation-list"),
    path(f"{_S}publish/", SegmentationPublishView.as_view(), name="segmentation-publish"),
    path(f"{_S}<uuid:upload_id>/", SegmentationView.as_view(), name="segmentation"),
]

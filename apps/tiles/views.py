"""Endpoints of pictures, pixels, measurements and tile sessions; `routes` is what the API includes."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.conf import settings
from django.http import HttpResponse
from django.urls import URLPattern, path
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import status
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.request import Request
from rest_framework.response import Response

from apps.core.api import Endpoint
from apps.tiles import serializers, services
from apps.tiles.selectors import columns, rendering

IMMUTABLE = "private, max-age=31536000, immutable"


class AnyAccept(BaseContentNegotiation):
    """Answers in the one format there is, whatever an ``img`` element says it accepts."""

    def select_renderer(self, request: Any, renderers: Any, format_suffix: Any = None) -> Any:
        """Return the renderer that errors are written with."""
        return renderers[0], renderers[0].media_type

    def select_parser(self, request: Any, parsers: Any) -> Any:
        """Return the parser; nothing here has a body."""
        return parsers[0]


class BytesEndpoint(Endpoint):
    """A view whose answer is not JSON."""

    content_negotiation_class = AnyAccept


class TileSessionView(Endpoint):
    """The right to fetch tiles."""

    @extend_schema(request=None, responses={204: None})
    def post(self, request: Request, experiment_id: UUID) -> Response:
        """Set the cookies with which a browser fetches this experiment's tiles for ten minutes."""
        session = services.tile_session_create(user=self.user, experiment_id=experiment_id)
        response = Response(status=status.HTTP_204_NO_CONTENT)
        for name, place in session.cookies:
            response.set_cookie(
                name,
                session.value,
                max_age=session.max_age,
                path=place,
                httponly=True,
                samesite="Lax",
                secure=bool(settings.SESSION_COOKIE_SECURE),
            )
        return response


class FeatureColumnView(BytesEndpoint):
    """One measurement of many objects."""

    @extend_schema(
        parameters=[serializers.ColumnQuerySerializer],
        responses={(200, "application/octet-stream"): OpenApiResponse(OpenApiTypes.BINARY)},
    )
    def get(
        self, request: Request, experiment_id: UUID, object_set_id: UUID, feature: str
    ) -> HttpResponse:
        """Return little-endian values; the first is that of the object with index `first`."""
        asked = self.query(serializers.ColumnQuerySerializer)
        column = columns.feature_column(
            user=self.user,
            experiment_id=experiment_id,
            object_set_id=object_set_id,
            name=feature,
            kind=asked.pop("format"),
            **asked,
        )
        headers = {
            "X-Low": repr(float(column.low)),
            "X-High": repr(float(column.high)),
            "X-Count": str(column.count),
            "Cache-Control": IMMUTABLE,
        }
        return HttpResponse(column.data, content_type="application/octet-stream", headers=headers)


class ObjectView(Endpoint):
    """One object."""

    @extend_schema(responses=serializers.ObjectSerializer)
    def get(
        self, request: Request, experiment_id: UUID, object_set_id: UUID, index: int
    ) -> Response:
        """Return where an object is and all its measurements."""
        found = columns.object_get(
            user=self.user, experiment_id=experiment_id, object_set_id=object_set_id, index=index
        )
        return Response(serializers.ObjectSerializer(found).data)


class RenderView(BytesEndpoint):
    """A picture of a mosaic."""

    @extend_schema(
        parameters=[serializers.RenderQuerySerializer],
        responses={
            (200, "image/png"): OpenApiResponse(OpenApiTypes.BINARY),
            (200, "image/jpeg"): OpenApiResponse(OpenApiTypes.BINARY),
        },
    )
    def get(self, request: Request, experiment_id: UUID, mosaic_id: UUID) -> HttpResponse:
        """Return a region as PNG or JPEG, with the channels and windows asked for."""
        asked = self.query(serializers.RenderQuerySerializer)
        kind, size, channels = asked.pop("format"), asked.pop("size"), asked.pop("channels", None)
        region = rendering.Region(
            height=asked.pop("height", None), width=asked.pop("width", None), **asked
        )
        data = rendering.mosaic_render(
            user=self.user,
            experiment_id=experiment_id,
            mosaic_id=mosaic_id,
            region=region,
            channels=channels,
            size=size,
            kind=kind,
        )
        return HttpResponse(
            data, content_type=f"image/{kind}", headers={"Cache-Control": IMMUTABLE}
        )


class PixelsView(Endpoint):
    """The values at a place of a mosaic."""

    @extend_schema(
        parameters=[serializers.PlaceQuerySerializer], responses=serializers.PixelsSerializer
    )
    def get(self, request: Request, experiment_id: UUID, mosaic_id: UUID) -> Response:
        """Return each channel's value at a pixel, in the original's units."""
        asked = self.query(serializers.PlaceQuerySerializer)
        found = rendering.mosaic_pixels(
            user=self.user, experiment_id=experiment_id, mosaic_id=mosaic_id, **asked
        )
        return Response(serializers.PixelsSerializer({**asked, "channels": found}).data)


_experiment = "experiments/<uuid:experiment_id>"
routes: list[URLPattern] = [
    path(f"{_experiment}/tile-session/", TileSessionView.as_view(), name="tile-session"),
    path(
        f"{_experiment}/object-sets/<uuid:object_set_id>/features/<path:feature>/",
        FeatureColumnView.as_view(),
        name="feature-column",
    ),
    path(
        f"{_experiment}/object-sets/<uuid:object_set_id>/objects/<int:index>/",
        ObjectView.as_view(),
        name="object-detail",
    ),
    path(
        f"{_experiment}/mosaics/<uuid:mosaic_id>/render/",
        RenderView.as_view(),
        name="mosaic-render",
    ),
    path(
        f"{_experiment}/mosaics/<uuid:mosaic_id>/pixels/",
        PixelsView.as_view(),
        name="mosaic-pixels",
    ),
]

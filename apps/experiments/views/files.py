"""Endpoints of acquisitions and their files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO, Any, cast
from uuid import UUID

from django.urls import URLPattern, path, register_converter
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.parsers import BaseParser
from rest_framework.request import Request
from rest_framework.response import Response

from apps.core.api import Endpoint, lists
from apps.experiments import selectors, serializers, services


class FileName:
    """Any text at all, line breaks included: the service says what is wrong with a name."""

    regex = r"[\s\S]+"

    def to_python(self, value: str) -> str:
        """Return the name as it is."""
        return value

    def to_url(self, value: str) -> str:
        """Return the name as it is."""
        return value


register_converter(FileName, "filename")


class RawParser(BaseParser):
    """Accept any content type and leave the body for the service to read."""

    media_type = "*/*"

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Parse nothing."""
        return {}


class AcquisitionListView(Endpoint):
    """Acquisitions of an experiment."""

    @lists(serializers.AcquisitionSerializer, serializers.PlateQuerySerializer)
    def get(self, request: Request, experiment_id: UUID) -> Response:
        """List the acquisitions of the plates that you may see."""
        query = self.query(serializers.PlateQuerySerializer)
        rows = selectors.acquisitions_list(user=self.user, experiment_id=experiment_id, **query)
        return self.page(request, rows, serializers.AcquisitionSerializer)

    @extend_schema(
        request=serializers.NewAcquisitionSerializer,
        responses={201: serializers.AcquisitionSerializer},
    )
    def post(self, request: Request, experiment_id: UUID) -> Response:
        """Add an acquisition to a plate."""
        data = self.valid(serializers.NewAcquisitionSerializer)
        made = services.acquisition_create(user=self.user, experiment_id=experiment_id, **data)
        return Response(serializers.AcquisitionSerializer(made).data, status.HTTP_201_CREATED)


class AcquisitionView(Endpoint):
    """One acquisition."""

    @extend_schema(responses=serializers.AcquisitionSerializer)
    def get(self, request: Request, experiment_id: UUID, acquisition_id: UUID) -> Response:
        """Return an acquisition."""
        found = selectors.acquisition_detail(
            user=self.user, experiment_id=experiment_id, acquisition_id=acquisition_id
        )
        return Response(serializers.AcquisitionSerializer(found).data)

    @extend_schema(
        request=serializers.AcquisitionChangeSerializer,
        responses=serializers.AcquisitionSerializer,
    )
    def patch(self, request: Request, experiment_id: UUID, acquisition_id: UUID) -> Response:
        """Change name, description, reader or pattern of an acquisition."""
        services.acquisition_update(
            user=self.user,
            experiment_id=experiment_id,
            acquisition_id=acquisition_id,
            **self.valid(serializers.AcquisitionChangeSerializer),
        )
        return self.get(request, experiment_id, acquisition_id)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, experiment_id: UUID, acquisition_id: UUID) -> Response:
        """Delete an acquisition and what was uploaded for it; registered folders stay."""
        services.acquisition_delete(
            user=self.user, experiment_id=experiment_id, acquisition_id=acquisition_id
        )
        return Response(status=status.HTTP_204_NO_CONTENT)


class RegisterView(Endpoint):
    """Registration of a folder of the server."""

    @extend_schema(
        request=serializers.RegisterSerializer, responses=serializers.RegisteredSerializer
    )
    def post(self, request: Request, experiment_id: UUID, acquisition_id: UUID) -> Response:
        """Read an acquisition's files from a folder of the server, without copying them."""
        files, size = services.folder_register(
            user=self.user,
            experiment_id=experiment_id,
            acquisition_id=acquisition_id,
            **self.valid(serializers.RegisterSerializer),
        )
        return Response(serializers.RegisteredSerializer({"files": files, "bytes": size}).data)


class FileListView(Endpoint):
    """Files of an acquisition."""

    @lists(serializers.FileSerializer, serializers.FileQuerySerializer)
    def get(self, request: Request, experiment_id: UUID, acquisition_id: UUID) -> Response:
        """List the files by name; `received` says how far an upload has come."""
        rows = selectors.files_list(
            user=self.user,
            experiment_id=experiment_id,
            acquisition_id=acquisition_id,
            **self.query(serializers.FileQuerySerializer),
        )
        return self.page(request, rows, serializers.FileSerializer)


def content_length(request: Request) -> int | None:
    """Return the length that a request announces of its body; None if it does not."""
    text = request.META.get("CONTENT_LENGTH") or ""
    return int(text) if text.isdecimal() else None


class FileView(Endpoint):
    """One file of an acquisition."""

    parser_classes = [RawParser]

    @extend_schema(responses=serializers.FileSerializer)
    def get(
        self, request: Request, experiment_id: UUID, acquisition_id: UUID, name: str
    ) -> Response:
        """Return how far a file's upload has come."""
        found = selectors.file_get(
            user=self.user,
            experiment_id=experiment_id,
            acquisition_id=acquisition_id,
            name=name,
        )
        return Response(serializers.FileSerializer(found).data)

    @extend_schema(
        request={"application/octet-stream": OpenApiTypes.BINARY},
        parameters=[
            OpenApiParameter("Content-Range", str, "header", description="bytes first-last/total"),
            OpenApiParameter("Content-Digest", str, "header", description="sha-256=:base64:"),
        ],
        responses=serializers.FileSerializer,
    )
    def put(
        self, request: Request, experiment_id: UUID, acquisition_id: UUID, name: str
    ) -> Response:
        """Send a piece of at most 16 MB; the last one completes the file."""
        row = services.file_append(
            user=self.user,
            experiment_id=experiment_id,
            acquisition_id=acquisition_id,
            name=name,
            content_range=request.META.get("HTTP_CONTENT_RANGE"),
            content_length=content_length(request),
            content_digest=request.META.get("HTTP_CONTENT_DIGEST"),
            body=cast("Any", request._request),  # noqa: SLF001
        )
        return Response(serializers.FileSerializer(row).data)

    @extend_schema(responses={204: None})
    def delete(
        self, request: Request, experiment_id: UUID, acquisition_id: UUID, name: str
    ) -> Response:
        """Take back an upload, whole or begun."""
        services.file_delete(
            user=self.user,
            experiment_id=experiment_id,
            acquisition_id=acquisition_id,
            name=name,
        )
        return Response(status=status.HTTP_204_NO_CONTENT)


_all = "experiments/<uuid:experiment_id>/acquisitions/"
_one = f"{_all}<uuid:acquisition_id>/"
routes: list[URLPattern] = [
    path(_all, AcquisitionListView.as_view(), name="acquisition-list"),
    path(_one, AcquisitionView.as_view(), name="acquisition"),
    path(f"{_one}register/", RegisterView.as_view(), name="register"),
    path(f"{_one}files/", FileListView.as_view(), name="file-list"),
    path(f"{_one}files/<filename:name>/", FileView.as_view(), name="file"),
]

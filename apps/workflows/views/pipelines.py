"""Endpoints of pipelines: templates, the check before anything runs, and previews."""

from __future__ import annotations

from uuid import UUID

from django.http import FileResponse
from django.urls import URLPattern, path
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from apps.core.api import Endpoint, lists
from apps.workflows import selectors, serializers, services


class PipelineTemplateListView(Endpoint):
    """The pipelines that come with TissueMAPS."""

    @extend_schema(responses=serializers.PipelineTemplateSerializer(many=True))
    def get(self, request: Request) -> Response:
        """List the templates with their text."""
        return Response(selectors.pipeline_templates())


class BoundTemplateListView(Endpoint):
    """The templates for one experiment."""

    @extend_schema(responses=serializers.PipelineTemplateSerializer(many=True))
    def get(self, request: Request, experiment_id: UUID) -> Response:
        """List the templates with the experiment's channels in their text, where they fit."""
        found = selectors.pipeline_templates_bound(user=self.user, experiment_id=experiment_id)
        return Response(found)


class PipelineCheckView(Endpoint):
    """What is wrong with a pipeline."""

    @extend_schema(
        request=serializers.PipelineTextSerializer,
        responses=serializers.PipelineCheckSerializer,
    )
    def post(self, request: Request, experiment_id: UUID) -> Response:
        """Check a pipeline against the experiment's channels and objects; nothing is run or kept."""
        found = selectors.pipeline_check(
            user=self.user,
            experiment_id=experiment_id,
            **self.valid(serializers.PipelineTextSerializer),
        )
        return Response(found)


class PreviewListView(Endpoint):
    """Pipelines tried on a few sites."""

    @lists(serializers.PreviewSerializer)
    def get(self, request: Request, experiment_id: UUID) -> Response:
        """List the previews of an experiment, newest first; 20 are kept."""
        rows = selectors.previews_list(user=self.user, experiment_id=experiment_id)
        return self.page(request, rows, serializers.PreviewSerializer)

    @extend_schema(
        request=serializers.NewPreviewSerializer,
        responses={202: serializers.PreviewSerializer},
    )
    def post(self, request: Request, experiment_id: UUID) -> Response:
        """Try a pipeline on up to 10 sites, before every other job."""
        made = services.preview_request(
            user=self.user,
            experiment_id=experiment_id,
            **self.valid(serializers.NewPreviewSerializer),
        )
        return Response(serializers.PreviewSerializer(made).data, status.HTTP_202_ACCEPTED)


class PreviewView(Endpoint):
    """One preview."""

    @extend_schema(responses=serializers.PreviewDetailSerializer)
    def get(self, request: Request, experiment_id: UUID, preview_id: UUID) -> Response:
        """Return how far a preview is and what every module has made so far."""
        found = selectors.preview_describe(
            user=self.user, experiment_id=experiment_id, preview_id=preview_id
        )
        return Response(serializers.PreviewDetailSerializer(found).data)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, experiment_id: UUID, preview_id: UUID) -> Response:
        """Stop a preview and delete its images."""
        services.preview_delete(user=self.user, experiment_id=experiment_id, preview_id=preview_id)
        return Response(status=status.HTTP_204_NO_CONTENT)


class PreviewFileView(Endpoint):
    """A picture, an array or a table of a preview."""

    @extend_schema(
        responses={(200, "application/octet-stream"): OpenApiResponse(OpenApiTypes.BINARY)}
    )
    def get(
        self, request: Request, experiment_id: UUID, preview_id: UUID, site: int, output: str
    ) -> FileResponse:
        """Return what a module made: PNG, NumPy's array format or Parquet, as its name ends."""
        stream, content_type = selectors.preview_file(
            user=self.user,
            experiment_id=experiment_id,
            preview_id=preview_id,
            site=site,
            name=output,
        )
        headers = {"Cache-Control": "private, max-age=86400, immutable"}
        return FileResponse(stream, content_type=content_type, headers=headers)


_P = "experiments/<uuid:experiment_id>/pipeline/"

routes: list[URLPattern] = [
    path("pipeline-templates/", PipelineTemplateListView.as_view(), name="pipeline-template-list"),
    path(f"{_P}templates/", BoundTemplateListView.as_view(), name="bound-template-list"),
    path(f"{_P}check/", PipelineCheckView.as_view(), name="pipeline-check"),
    path(f"{_P}preview/", PreviewListView.as_view(), name="preview-list"),
    path(f"{_P}preview/<uuid:preview_id>/", PreviewView.as_view(), name="preview"),
    path(
        f"{_P}preview/<uuid:preview_id>/<int:site>/<str:output>/",
        PreviewFileView.as_view(),
        name="preview-file",
    ),
]

"""Endpoints of workflows, pipelines and the registries; `routes` is what the API includes."""

from django.urls import URLPattern

from apps.workflows.views import pipelines, workflows

routes: list[URLPattern] = [*workflows.routes, *pipelines.routes]

__all__ = ["routes"]

"""Endpoints of the experiments; `routes` is what the API includes."""

from django.urls import URLPattern

from apps.experiments.views import (
    corrections,
    experiments,
    files,
    images,
    layouts,
    segmentations,
)

routes: list[URLPattern] = [
    *experiments.routes,
    *files.routes,
    *images.routes,
    *layouts.routes,
    *corrections.routes,
    *segmentations.routes,
]

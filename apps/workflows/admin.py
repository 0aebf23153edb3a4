"""Workflows in Django's admin: to look at, never to change behind the engine's back."""

from __future__ import annotations

from typing import Any

from django.contrib import admin

from apps.workflows.models import (
    Preview,
    SavedDescription,
    StageRun,
    StepPlan,
    StepRun,
    Workflow,
)


class _ReadOnly(admin.ModelAdmin):  # type: ignore[type-arg]
    def has_add_permission(self, request: Any) -> bool:  # noqa: ARG002
        """Refuse: rows are made by the engine."""
        return False

    def has_change_permission(self, request: Any, obj: Any = None) -> bool:  # noqa: ARG002
        """Refuse: rows are changed by the engine."""
        return False


@admin.register(Workflow)
class WorkflowAdmin(_ReadOnly):
    """Submissions."""

    list_display = ("experiment", "number", "state", "submitted_by", "created_at", "ended_at")
    list_filter = ("state",)
    search_fields = ("experiment__name", "experiment__id", "id")
    list_select_related = ("experiment", "submitted_by")


@admin.register(StageRun)
class StageRunAdmin(_ReadOnly):
    """Stages."""

    list_display = ("name", "workflow", "index", "state")
    list_filter = ("state", "name")
    list_select_related = ("workflow",)


@admin.register(StepRun)
class StepRunAdmin(_ReadOnly):
    """Steps."""

    list_display = ("name", "workflow", "state", "phase", "round", "backend", "ended_at")
    list_filter = ("state", "name", "backend")
    search_fields = ("id", "key", "workflow__id")
    list_select_related = ("workflow",)


@admin.register(StepPlan)
class StepPlanAdmin(_ReadOnly):
    """Plans."""

    list_display = ("step_run", "created_at")
    fields = ("step_run",)
    list_select_related = ("step_run",)


@admin.register(SavedDescription)
class SavedDescriptionAdmin(_ReadOnly):
    """Saved descriptions."""

    list_display = ("experiment", "updated_at")
    search_fields = ("experiment__name",)
    list_select_related = ("experiment",)


@admin.register(Preview)
class PreviewAdmin(_ReadOnly):
    """Pipelines tried on a few sites."""

    list_display = ("experiment", "state", "created_by", "created_at")
    list_filter = ("state",)
    search_fields = ("experiment__name", "id")
    list_select_related = ("experiment", "created_by")

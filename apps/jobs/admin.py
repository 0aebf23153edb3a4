"""The ledger in Django's admin: to look at, never to change behind the engine's back."""

from __future__ import annotations

from typing import Any

from django.contrib import admin

from apps.jobs.models import Attempt, Event, Job, Scope, SpecTemplate, Tally, Worker


class _ReadOnly(admin.ModelAdmin):  # type: ignore[type-arg]
    def has_add_permission(self, request: Any) -> bool:  # noqa: ARG002
        """Refuse: rows are made by the engine."""
        return False

    def has_change_permission(self, request: Any, obj: Any = None) -> bool:  # noqa: ARG002
        """Refuse: rows are changed by the engine."""
        return False

    def has_delete_permission(self, request: Any, obj: Any = None) -> bool:  # noqa: ARG002
        """Refuse: the ledger is kept."""
        return False


@admin.register(Job)
class JobAdmin(_ReadOnly):
    """Jobs."""

    list_display = ("name", "kind", "state", "queue", "round", "index", "attempts_made", "ended_at")
    list_filter = ("state", "kind", "queue", "name")
    search_fields = ("id", "scope", "parent")
    exclude = ("batch", "template")
    show_full_result_count = False


@admin.register(Attempt)
class AttemptAdmin(_ReadOnly):
    """Attempts, without their secrets."""

    list_display = ("job_id", "number", "state", "worker", "sent_at", "claimed_at", "ended_at")
    list_filter = ("state",)
    search_fields = ("job__id", "worker")
    exclude = ("secret",)
    show_full_result_count = False


@admin.register(Worker)
class WorkerAdmin(_ReadOnly):
    """Workers that announced themselves."""

    list_display = ("id", "host", "pid", "slots", "seen_at")


@admin.register(Scope)
class ScopeAdmin(_ReadOnly):
    """Counters of events."""

    list_display = ("id", "sequence")
    search_fields = ("id",)


@admin.register(Event)
class EventAdmin(_ReadOnly):
    """Events."""

    list_display = ("scope_id", "sequence", "kind", "created_at")
    list_filter = ("kind",)
    search_fields = ("scope__id",)
    show_full_result_count = False


@admin.register(Tally)
class TallyAdmin(_ReadOnly):
    """Counts of jobs."""

    list_display = ("parent", "waiting", "queued", "running", "succeeded", "failed", "killed")
    search_fields = ("parent", "scope")


@admin.register(SpecTemplate)
class SpecTemplateAdmin(_ReadOnly):
    """What specs have in common."""

    list_display = ("id", "scope", "created_at")
    search_fields = ("scope",)

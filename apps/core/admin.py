"""The audit trail in Django's admin: to read, never to change."""

# Django fixes the signatures.
# ruff: noqa: ARG002

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from apps.core.models import AuditEntry


@admin.register(AuditEntry)
class AuditEntryAdmin(admin.ModelAdmin[AuditEntry]):
    """Who did what, newest first."""

    list_display = ("created_at", "actor_name", "action", "object_type", "object_name")
    list_filter = ("action", "object_type")
    search_fields = ("actor_name", "object_id", "object_name")
    date_hierarchy = "created_at"

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Entries are written by services."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Entries never change."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Entries never go."""
        return False

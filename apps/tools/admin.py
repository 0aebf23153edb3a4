"""Tool results in the Django admin: what ran, for whom, with what outcome; no values."""

from django.contrib import admin

from apps.tools.models import ToolResult


@admin.register(ToolResult)
class ToolResultAdmin(admin.ModelAdmin[ToolResult]):
    """Read-only list of tool results."""

    list_display = (
        "name",
        "tool",
        "experiment",
        "object_type",
        "state",
        "created_by",
        "created_at",
    )
    list_filter = ("tool", "state")
    search_fields = ("name", "id", "experiment__name")
    list_select_related = ("experiment", "object_type", "created_by")
    readonly_fields = tuple(f.name for f in ToolResult._meta.fields)  # noqa: SLF001

"""Django application configuration."""

from django.apps import AppConfig


class ToolsConfig(AppConfig):
    """Tools: requests, results, layers."""

    name = "apps.tools"
    label = "tools"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register what happens when a tool's job ends."""
        from apps.jobs.services import register_handler
        from apps.tools.services import tool_result_apply, tool_result_started

        register_handler("tool", tool_result_apply, tool_result_started)

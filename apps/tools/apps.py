"""Django application configuration."""

from django.apps import AppConfig


class ToolsConfig(AppConfig):
    """The `tools` application."""

    name = "apps.tools"
    label = "tools"
    default_auto_field = "django.db.models.BigAutoField"

"""Django application configuration."""

from django.apps import AppConfig


class WorkflowsConfig(AppConfig):
    """The `workflows` application."""

    name = "apps.workflows"
    label = "workflows"
    default_auto_field = "django.db.models.BigAutoField"

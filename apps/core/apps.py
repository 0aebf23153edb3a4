"""Django application configuration."""

from django.apps import AppConfig


class CoreConfig(AppConfig):
    """The `core` application."""

    name = "apps.core"
    label = "core"
    default_auto_field = "django.db.models.BigAutoField"

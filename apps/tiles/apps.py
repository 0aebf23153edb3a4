"""Django application configuration."""

from django.apps import AppConfig


class TilesConfig(AppConfig):
    """The `tiles` application."""

    name = "apps.tiles"
    label = "tiles"
    default_auto_field = "django.db.models.BigAutoField"

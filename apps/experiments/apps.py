"""Django application configuration."""

from django.apps import AppConfig


class ExperimentsConfig(AppConfig):
    """The `experiments` application."""

    name = "apps.experiments"
    label = "experiments"
    default_auto_field = "django.db.models.BigAutoField"

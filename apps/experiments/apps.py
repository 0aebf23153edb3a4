"""Django application configuration."""

from django.apps import AppConfig


class ExperimentsConfig(AppConfig):
    """The `experiments` application."""

    name = "apps.experiments"
    label = "experiments"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Have access epochs follow the groups' members."""
        from apps.accounts.services import when_access_changes
        from apps.experiments.services import reach_changed

        when_access_changes(reach_changed)

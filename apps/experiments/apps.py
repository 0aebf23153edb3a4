"""Django application configuration."""

from django.apps import AppConfig


class ExperimentsConfig(AppConfig):
    """The `experiments` application."""

    name = "apps.experiments"
    label = "experiments"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Have access epochs follow the groups' members; register what inspections do at their end."""
        from apps.accounts.services import when_access_changes
        from apps.experiments.services import (
            inspection_apply,
            inspection_started,
            reach_changed,
            segmentations_apply,
        )
        from apps.jobs.services import register_handler

        when_access_changes(reach_changed)
        register_handler("inspect", inspection_apply, inspection_started)
        register_handler("segment", segmentations_apply)

"""Django application configuration."""

from django.apps import AppConfig


class WorkflowsConfig(AppConfig):
    """Workflows: what runs, in which order, and how far it is."""

    name = "apps.workflows"
    label = "workflows"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register what follows when jobs of steps move or end."""
        from apps.jobs.services.handlers import (
            register_batch_handler,
            register_handler,
            register_tally_handler,
        )
        from apps.workflows.services.live import counts_tell
        from apps.workflows.services.previews import preview_apply, preview_started
        from apps.workflows.services.running import jobs_ended

        for kind in ("plan", "run", "collect"):
            register_batch_handler(kind, jobs_ended)
        register_tally_handler(counts_tell)
        register_handler("preview", preview_apply, preview_started)

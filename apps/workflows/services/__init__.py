"""Writes of workflows: describe, submit, resubmit, kill; what follows when their jobs end."""

from apps.workflows.services.descriptions import description_save
from apps.workflows.services.previews import preview_delete, preview_request
from apps.workflows.services.running import jobs_ended
from apps.workflows.services.submission import workflow_kill, workflow_resubmit, workflow_submit

__all__ = [
    "description_save",
    "jobs_ended",
    "preview_delete",
    "preview_request",
    "workflow_kill",
    "workflow_resubmit",
    "workflow_submit",
]

"""Rows of the tools: what was asked, by whom, and where the answer lies."""

from django.conf import settings
from django.db import models

from apps.core.models import BaseModel


class ResultState(models.TextChoices):
    """States of a tool result; the same words as those of its job."""

    WAITING = "waiting"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    KILLED = "killed"


class ToolResult(BaseModel):
    """One request to a tool and its answer, a layer on the map.

    The values lie in ``results/<id>/`` below the experiment's folder; `info` says what they mean.
    """

    experiment = models.ForeignKey(
        "experiments.Experiment", on_delete=models.CASCADE, related_name="tool_results"
    )
    object_type = models.ForeignKey(
        "experiments.ObjectType", on_delete=models.CASCADE, related_name="tool_results"
    )
    tool = models.CharField(max_length=50)
    tool_version = models.PositiveIntegerField()
    name = models.CharField(max_length=100)
    arguments = models.JSONField(default=dict)
    inputs = models.JSONField(default=dict, help_text="manifests that were read, by product")
    state = models.CharField(
        max_length=10, choices=ResultState.choices, default=ResultState.WAITING, db_index=True
    )
    job = models.UUIDField(null=True, blank=True, help_text="ledger row that does the work")
    path = models.CharField(max_length=200, blank=True)
    info = models.JSONField(default=dict, blank=True)
    error = models.JSONField(null=True, blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="tool_results"
    )

    class Meta:
        ordering = ("-created_at", "id")
        indexes = [models.Index(fields=["experiment", "-created_at"], name="tools_by_experiment")]

    def __str__(self) -> str:
        return f"{self.name} ({self.tool})"

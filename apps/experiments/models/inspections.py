"""What a reader or a pattern would make of an acquisition's files, before anything is converted."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from apps.core.models import BaseModel
from apps.experiments.models.experiments import Acquisition


class InspectionState(models.TextChoices):
    """How far an inspection has come."""

    WAITING = "waiting"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    KILLED = "killed"


class Inspection(BaseModel):
    """One look at an acquisition's files with a reader and a pattern; `result` says what it sees."""

    acquisition = models.ForeignKey(
        Acquisition, on_delete=models.CASCADE, related_name="inspections"
    )
    microscope = models.CharField(max_length=60, blank=True)
    pattern = models.TextField(blank=True)
    state = models.CharField(
        max_length=10, choices=InspectionState.choices, default=InspectionState.WAITING
    )
    job = models.UUIDField(null=True, blank=True)
    result = models.JSONField(default=dict, blank=True)
    error = models.JSONField(null=True, blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )

    class Meta:
        ordering = ["-created_at", "id"]
        indexes = [models.Index(fields=["job"], name="inspection_job")]

    def __str__(self) -> str:
        return f"inspection of {self.acquisition} ({self.state})"

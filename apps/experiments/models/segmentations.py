"""Label images that people upload, waiting for the job that takes them in."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from apps.core.models import BaseModel
from apps.experiments.models.experiments import Experiment
from apps.experiments.models.images import Site


class SegmentationState(models.TextChoices):
    """How far an uploaded label image has come."""

    WAITING = "waiting"
    TAKEN = "taken"
    PUBLISHED = "published"
    FAILED = "failed"


class SegmentationUpload(BaseModel):
    """One label image of one site; its bytes lie in ``segmentations/incoming/<id>``.

    `z` is empty where it stands for all z planes.
    """

    experiment = models.ForeignKey(
        Experiment, on_delete=models.CASCADE, related_name="segmentation_uploads"
    )
    object_type = models.CharField(max_length=50)
    site = models.ForeignKey(Site, on_delete=models.CASCADE, related_name="+")
    t = models.PositiveIntegerField(default=0)
    z = models.PositiveIntegerField(null=True, blank=True)
    name = models.CharField(max_length=255)
    size = models.BigIntegerField()
    state = models.CharField(
        max_length=10, choices=SegmentationState.choices, default=SegmentationState.WAITING
    )
    job = models.UUIDField(null=True, blank=True)
    error = models.JSONField(null=True, blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )

    class Meta:
        ordering = ["-created_at", "id"]
        indexes = [models.Index(fields=["job"], name="segmentation_job")]

    def __str__(self) -> str:
        return f"{self.name} of {self.experiment_id} ({self.state})"

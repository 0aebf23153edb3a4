"""What was imaged, and its files."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from apps.accounts.models import ResearchGroup
from apps.core.models import BaseModel
from apps.core.permissions import PERMISSIONS


class AcquisitionMode(models.TextChoices):
    """How several acquisitions of a plate belong together."""

    BASIC = "basic", "time points"
    MULTIPLEXING = "multiplexing", "staining cycles"


class Experiment(BaseModel):  # type: ignore[django-manager-missing]
    """A screen: its plates and everything made of them; the unit of sharing."""

    name = models.CharField(max_length=120)
    description = models.TextField(blank=True)
    group = models.ForeignKey(ResearchGroup, on_delete=models.PROTECT, related_name="experiments")
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        on_delete=models.SET_NULL,
        related_name="experiments_created",
    )
    workflow_type = models.CharField(max_length=60, default="canonical")
    plate_format = models.PositiveIntegerField(default=96)
    acquisition_mode = models.CharField(
        max_length=12, choices=AcquisitionMode.choices, default=AcquisitionMode.BASIC
    )
    microscope = models.CharField(
        max_length=60, blank=True, help_text="reader for all acquisitions; empty: detect"
    )
    access_epoch = models.BigIntegerField(default=1, editable=False)
    deleted_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at", "id"]
        permissions = PERMISSIONS
        constraints = [
            models.UniqueConstraint(
                fields=["group", "name"],
                condition=Q(deleted_at__isnull=True),
                name="experiment_name_once_in_group",
            )
        ]

    def __str__(self) -> str:
        return self.name


class Plate(BaseModel):  # type: ignore[django-manager-missing]
    """One physical plate (or slide); the smallest part whose pixels can be shared."""

    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="plates")
    name = models.CharField(max_length=120)
    description = models.TextField(blank=True)
    layout = models.JSONField(
        default=dict, blank=True, help_text="size, pitch and origin by the current layout"
    )

    class Meta:
        ordering = ["created_at", "id"]
        permissions = PERMISSIONS
        constraints = [
            models.UniqueConstraint(fields=["experiment", "name"], name="plate_name_once")
        ]

    def __str__(self) -> str:
        return self.name


class AcquisitionSource(models.TextChoices):
    """Where an acquisition's files come from."""

    UPLOADS = "uploads", "uploaded"
    REGISTERED = "registered", "a folder of the server, only read"


class AcquisitionStatus(models.TextChoices):
    """Whether an acquisition's files are there."""

    EMPTY = "empty"
    UPLOADING = "uploading"
    COMPLETE = "complete"


class Acquisition(BaseModel):
    """One run of the microscope over a plate."""

    plate = models.ForeignKey(Plate, on_delete=models.CASCADE, related_name="acquisitions")
    name = models.CharField(max_length=120)
    index = models.PositiveIntegerField()
    description = models.TextField(blank=True)
    source = models.CharField(
        max_length=10, choices=AcquisitionSource.choices, default=AcquisitionSource.UPLOADS
    )
    folder = models.CharField(max_length=4096, blank=True, help_text="absolute path, if registered")
    microscope = models.CharField(
        max_length=60, blank=True, help_text="reader; empty: the experiment's, or detect"
    )
    size = models.BigIntegerField(default=0, help_text="bytes of all its files, as announced")
    pattern = models.TextField(
        blank=True, help_text="regular expression for file names; empty: the reader's own"
    )
    status = models.CharField(
        max_length=10, choices=AcquisitionStatus.choices, default=AcquisitionStatus.EMPTY
    )

    class Meta:
        ordering = ["plate_id", "index", "id"]
        constraints = [
            models.UniqueConstraint(fields=["plate", "name"], name="acquisition_name_once"),
            models.UniqueConstraint(fields=["plate", "index"], name="acquisition_index_once"),
        ]

    def __str__(self) -> str:
        return self.name


class FileStatus(models.TextChoices):
    """How far a file has come."""

    UPLOADING = "uploading"
    COMPLETE = "complete"


class SourceFile(BaseModel):
    """A file of an acquisition; `name` is its relative POSIX path, `received` the upload's offset."""

    acquisition = models.ForeignKey(Acquisition, on_delete=models.CASCADE, related_name="files")
    # In code-point order the index also finds everything below a folder.
    name = models.CharField(max_length=1024, db_collation="C")
    size = models.BigIntegerField()
    received = models.BigIntegerField(default=0)
    checksum = models.CharField(
        max_length=20, blank=True, help_text="crc32 of what was received, in hexadecimal"
    )
    status = models.CharField(
        max_length=10, choices=FileStatus.choices, default=FileStatus.UPLOADING
    )

    class Meta:
        ordering = ["name", "id"]
        indexes = [
            models.Index(
                fields=["acquisition"],
                condition=Q(status="uploading"),
                name="source_file_on_its_way",
            )
        ]
        constraints = [
            models.UniqueConstraint(fields=["acquisition", "name"], name="source_file_name_once"),
            models.CheckConstraint(
                condition=Q(received__gte=0, size__gte=0, received__lte=models.F("size")),
                name="source_file_received_within_size",
            ),
        ]

    def __str__(self) -> str:
        return self.name

"""Rows of the experiments: what was imaged, its files, and which versions of the data are current."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from apps.accounts.models import ResearchGroup
from apps.core.models import BaseModel
from apps.core.permissions import PERMISSIONS, GroupGrant, UserGrant


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


class Well(BaseModel):
    """A well at its place in the plate's mosaic (pixels of full resolution)."""

    plate = models.ForeignKey(Plate, on_delete=models.CASCADE, related_name="wells")
    name = models.CharField(max_length=16)
    row = models.PositiveIntegerField()
    column = models.PositiveIntegerField()
    y = models.IntegerField()
    x = models.IntegerField()
    height = models.PositiveIntegerField()
    width = models.PositiveIntegerField()
    description = models.JSONField(
        default=dict, blank=True, help_text="treatments and other facts of the user"
    )
    removed = models.BooleanField(default=False, help_text="not in the current layout any more")

    class Meta:
        ordering = ["plate_id", "row", "column", "id"]
        constraints = [models.UniqueConstraint(fields=["plate", "name"], name="well_name_once")]

    def __str__(self) -> str:
        return self.name


class Site(BaseModel):
    """A field of view; `index` is dense within the plate in the current layout."""

    well = models.ForeignKey(Well, on_delete=models.CASCADE, related_name="sites")
    index = models.PositiveIntegerField()
    name = models.CharField(max_length=255)
    y = models.IntegerField()
    x = models.IntegerField()
    height = models.PositiveIntegerField()
    width = models.PositiveIntegerField()
    stage_y_um = models.FloatField(null=True, blank=True)
    stage_x_um = models.FloatField(null=True, blank=True)
    removed = models.BooleanField(default=False, help_text="not in the current layout any more")

    class Meta:
        ordering = ["well__plate_id", "index", "id"]
        constraints = [models.UniqueConstraint(fields=["well", "name"], name="site_name_once")]

    def __str__(self) -> str:
        return f"site {self.index}"


class Cycle(BaseModel):
    """One round of staining of a multiplexed experiment."""

    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="cycles")
    index = models.PositiveIntegerField()

    class Meta:
        ordering = ["index", "id"]
        constraints = [
            models.UniqueConstraint(fields=["experiment", "index"], name="cycle_index_once")
        ]

    def __str__(self) -> str:
        return f"cycle {self.index}"


class Channel(BaseModel):
    """A channel; `index` is its place on the c axis. A person's name and colour outlive a new layout."""

    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="channels")
    index = models.PositiveIntegerField()
    name = models.CharField(max_length=255)
    wavelength_nm = models.FloatField(null=True, blank=True)
    color = models.CharField(max_length=7)
    dtype = models.CharField(max_length=8)
    layout_name = models.CharField(max_length=255, help_text="what the files call it")
    edited = models.BooleanField(default=False, help_text="a person has set name or colour")

    class Meta:
        ordering = ["index", "id"]
        constraints = [
            models.UniqueConstraint(fields=["experiment", "index"], name="channel_index_once")
        ]

    def __str__(self) -> str:
        return self.name


class ObjectType(BaseModel):  # type: ignore[django-manager-missing]
    """A kind of object such as Nuclei; the smallest part whose measurements can be shared."""

    experiment = models.ForeignKey(
        Experiment, on_delete=models.CASCADE, related_name="object_types"
    )
    name = models.CharField(max_length=120)

    class Meta:
        ordering = ["name", "id"]
        permissions = PERMISSIONS
        constraints = [
            models.UniqueConstraint(fields=["experiment", "name"], name="object_type_name_once")
        ]

    def __str__(self) -> str:
        return self.name


class Feature(BaseModel):
    """A measurement that the current object sets of a type have."""

    object_type = models.ForeignKey(ObjectType, on_delete=models.CASCADE, related_name="features")
    name = models.CharField(max_length=255)
    unit = models.CharField(max_length=60, blank=True)

    class Meta:
        ordering = ["name", "id"]
        constraints = [
            models.UniqueConstraint(fields=["object_type", "name"], name="feature_name_once")
        ]

    def __str__(self) -> str:
        return self.name


class LayoutVersion(BaseModel):
    """A version of the layout: which site lies where, which plane is which."""

    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="layouts")
    key = models.CharField(max_length=40)
    path = models.CharField(max_length=255)
    is_current = models.BooleanField(default=False)
    summary = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering = ["-created_at", "id"]
        constraints = [
            models.UniqueConstraint(fields=["experiment", "key"], name="layout_key_once"),
            models.UniqueConstraint(
                fields=["experiment"], condition=Q(is_current=True), name="layout_current_once"
            ),
        ]

    def __str__(self) -> str:
        return self.key


class Mosaic(BaseModel):
    """A version of the image of a whole plate: what the map shows."""

    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="mosaics")
    plate = models.ForeignKey(Plate, on_delete=models.CASCADE, related_name="mosaics")
    key = models.CharField(max_length=40)
    path = models.CharField(max_length=255)
    is_current = models.BooleanField(default=False)
    layout_key = models.CharField(max_length=40)
    info = models.JSONField(default=dict)

    class Meta:
        ordering = ["-created_at", "id"]
        constraints = [
            models.UniqueConstraint(fields=["plate", "key"], name="mosaic_key_once"),
            models.UniqueConstraint(
                fields=["plate"], condition=Q(is_current=True), name="mosaic_current_once"
            ),
        ]

    def __str__(self) -> str:
        return f"mosaic {self.key} of {self.plate}"


class ObjectSet(BaseModel):
    """A version of the objects of one type on one plate."""

    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="object_sets")
    object_type = models.ForeignKey(ObjectType, on_delete=models.CASCADE, related_name="sets")
    plate = models.ForeignKey(Plate, on_delete=models.CASCADE, related_name="object_sets")
    key = models.CharField(max_length=40)
    path = models.CharField(max_length=255, help_text="manifest below the experiment's folder")
    is_current = models.BooleanField(default=False)
    layout_key = models.CharField(max_length=40)
    n_objects = models.PositiveIntegerField()
    info = models.JSONField(default=dict)

    class Meta:
        ordering = ["-created_at", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["object_type", "plate", "key"], name="object_set_key_once"
            ),
            models.UniqueConstraint(
                fields=["object_type", "plate"],
                condition=Q(is_current=True),
                name="object_set_current_once",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.object_type} of {self.plate} ({self.key})"


class Product(BaseModel):
    """A manifest that a step has made, by its product's name; later steps read the current one."""

    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="products")
    name = models.CharField(max_length=60)
    key = models.CharField(max_length=40)
    path = models.CharField(max_length=255)
    step = models.CharField(max_length=60)
    size = models.BigIntegerField(default=0, help_text="bytes on disk")
    is_current = models.BooleanField(default=False)

    class Meta:
        ordering = ["-created_at", "id"]
        constraints = [
            models.UniqueConstraint(fields=["experiment", "name", "key"], name="product_key_once"),
            models.UniqueConstraint(
                fields=["experiment", "name"],
                condition=Q(is_current=True),
                name="product_current_once",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.key}"


class ExperimentUserGrant(UserGrant):
    """A user's level on an experiment."""

    content_object = models.ForeignKey(Experiment, on_delete=models.CASCADE)


class ExperimentGroupGrant(GroupGrant):
    """A group's level on an experiment."""

    content_object = models.ForeignKey(Experiment, on_delete=models.CASCADE)


class PlateUserGrant(UserGrant):
    """A user's level on one plate."""

    content_object = models.ForeignKey(Plate, on_delete=models.CASCADE)


class PlateGroupGrant(GroupGrant):
    """A group's level on one plate."""

    content_object = models.ForeignKey(Plate, on_delete=models.CASCADE)


class ObjectTypeUserGrant(UserGrant):
    """A user's level on one object type."""

    content_object = models.ForeignKey(ObjectType, on_delete=models.CASCADE)


class ObjectTypeGroupGrant(GroupGrant):
    """A group's level on one object type."""

    content_object = models.ForeignKey(ObjectType, on_delete=models.CASCADE)

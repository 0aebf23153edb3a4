"""What the files hold: wells, sites, channels, kinds of objects."""

from __future__ import annotations

from django.db import models

from apps.core.models import BaseModel
from apps.core.permissions import PERMISSIONS
from apps.experiments.models.experiments import Experiment, Plate


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
    is_derived = models.BooleanField(default=False, help_text="a pipeline has made it of others")

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

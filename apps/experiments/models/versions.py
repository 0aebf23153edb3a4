"""Versions of what steps have made, of which one is current."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from apps.core.models import BaseModel
from apps.experiments.models.experiments import Experiment, Plate
from apps.experiments.models.images import ObjectType


class LayoutEdit(BaseModel):
    """What a person changed of the layout, a version each time; the newest is what holds.

    `content` is a `gpu_workers.messages.LayoutCorrections`.
    """

    experiment = models.ForeignKey(
        Experiment, on_delete=models.CASCADE, related_name="layout_edits"
    )
    number = models.PositiveIntegerField()
    content = models.JSONField(default=dict)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )

    class Meta:
        ordering = ["-number", "id"]
        constraints = [
            models.UniqueConstraint(fields=["experiment", "number"], name="layout_edit_once")
        ]

    def __str__(self) -> str:
        return f"corrections {self.number} of {self.experiment}"


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
    """A version of the image of a whole plate: what the map shows.

    Of derived channels several may be current, each of other channels.
    """

    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="mosaics")
    plate = models.ForeignKey(Plate, on_delete=models.CASCADE, related_name="mosaics")
    key = models.CharField(max_length=40)
    path = models.CharField(max_length=255)
    is_current = models.BooleanField(default=False)
    layout_key = models.CharField(max_length=40)
    is_derived = models.BooleanField(
        default=False, help_text="of channels that a pipeline has made"
    )
    info = models.JSONField(default=dict)

    class Meta:
        ordering = ["-created_at", "id"]
        constraints = [
            models.UniqueConstraint(fields=["plate", "key"], name="mosaic_key_once"),
            models.UniqueConstraint(
                fields=["plate"],
                condition=Q(is_current=True, is_derived=False),
                name="mosaic_current_once",
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

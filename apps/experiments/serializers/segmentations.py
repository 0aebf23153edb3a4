"""What the endpoints of uploaded label images take and give."""

from __future__ import annotations

from typing import Any, ClassVar

from rest_framework import serializers

from apps.experiments.models import SegmentationState, SegmentationUpload
from apps.experiments.serializers.experiments import Out


class SegmentationSerializer(Out[SegmentationUpload]):
    """An uploaded label image: of what, and how far it is."""

    site = serializers.UUIDField(source="site_id")
    plate = serializers.UUIDField(source="site.well.plate_id")
    well = serializers.CharField(source="site.well.name")
    error = serializers.DictField(allow_null=True)

    class Meta:
        model = SegmentationUpload
        fields: ClassVar[list[str]] = [
            "id", "object_type", "plate", "well", "site", "t", "z", "name", "size", "state", "error",
            "created_at",
        ]  # fmt: skip


class NewSegmentationSerializer(serializers.Serializer[Any]):
    """What an uploaded label image shows; without `z` it holds for all z planes of its site."""

    object_type = serializers.CharField(max_length=50)
    site = serializers.UUIDField()
    t = serializers.IntegerField(required=False, default=0, min_value=0, max_value=1_000_000)
    z = serializers.IntegerField(
        required=False, default=None, allow_null=True, min_value=0, max_value=1_000_000
    )
    name = serializers.CharField(
        required=False, default="", allow_blank=True, max_length=255,
        help_text="of the file, for messages; .tif where the body is a TIFF",
    )  # fmt: skip


class SegmentationQuerySerializer(serializers.Serializer[Any]):
    """Which uploaded label images to list."""

    state = serializers.ChoiceField(choices=SegmentationState.choices, required=False)
    object_type = serializers.CharField(max_length=50, required=False)


class PublishedSerializer(serializers.Serializer[Any]):
    """The job that takes in label images, and how many."""

    job = serializers.UUIDField()
    images = serializers.IntegerField()

"""What goes in and out of the tiles' endpoints."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from apps.tiles.selectors.rendering import MAX_SIZE

LIMIT = 2**31 - 1


class ColumnQuerySerializer(serializers.Serializer[Any]):
    """Which objects, as what, over which range."""

    format = serializers.ChoiceField(
        ["f4", "u1"],
        default="f4",
        help_text="f4: float32, NaN where missing; u1: 0 where missing, 1 to 255 over [low, high]",
    )
    low = serializers.FloatField(required=False, help_text="default: percentile 1")
    high = serializers.FloatField(required=False, help_text="default: percentile 99.9")
    first = serializers.IntegerField(
        default=1, min_value=1, max_value=LIMIT, help_text="object index"
    )
    count = serializers.IntegerField(required=False, min_value=0, max_value=LIMIT)


class ObjectSerializer(serializers.Serializer[Any]):
    """One object: where it is and what was measured."""

    index = serializers.IntegerField()
    well = serializers.CharField()
    site = serializers.IntegerField()
    t = serializers.IntegerField()
    z = serializers.IntegerField()
    label = serializers.IntegerField()  # type: ignore[assignment]
    y = serializers.FloatField(help_text="centroid, px of the plate")
    x = serializers.FloatField()
    box = serializers.ListField(child=serializers.IntegerField(), help_text="y0, x0, y1, x1")
    is_border = serializers.BooleanField()
    features = serializers.DictField(child=serializers.FloatField(allow_null=True))


class PlaceQuerySerializer(serializers.Serializer[Any]):
    """A place of a plate."""

    y = serializers.IntegerField(min_value=-LIMIT, max_value=LIMIT)
    x = serializers.IntegerField(min_value=-LIMIT, max_value=LIMIT)
    t = serializers.IntegerField(default=0, min_value=0, max_value=LIMIT)
    z = serializers.IntegerField(default=0, min_value=0, max_value=LIMIT)


class RenderQuerySerializer(PlaceQuerySerializer):
    """A region, how large the picture is, and what it shows."""

    y = serializers.IntegerField(default=0, min_value=-LIMIT, max_value=LIMIT)
    x = serializers.IntegerField(default=0, min_value=-LIMIT, max_value=LIMIT)
    height = serializers.IntegerField(required=False, min_value=1, max_value=LIMIT)
    width = serializers.IntegerField(required=False, min_value=1, max_value=LIMIT)
    size = serializers.IntegerField(
        default=512, min_value=1, max_value=MAX_SIZE, help_text="longer side of the picture, px"
    )
    channels = serializers.CharField(
        required=False,
        max_length=2000,
        help_text="index[:low:high[:rrggbb]], separated by commas; default: all, as they are",
    )
    format = serializers.ChoiceField(["png", "jpeg"], default="png")


class PixelSerializer(serializers.Serializer[Any]):
    """A channel's value; null where there is no pixel."""

    channel = serializers.IntegerField()
    value = serializers.FloatField(allow_null=True)


class PixelsSerializer(serializers.Serializer[Any]):
    """The values at a place, in the original's units."""

    y = serializers.IntegerField()
    x = serializers.IntegerField()
    t = serializers.IntegerField()
    z = serializers.IntegerField()
    values = PixelSerializer(many=True, source="channels")

"""What goes out of the endpoints of illumination and alignment."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers


class ChannelIlluminationSerializer(serializers.Serializer[Any]):
    """What is known of a channel's illumination; pictures by name with their addresses."""

    index = serializers.IntegerField()
    name = serializers.CharField()
    n_images = serializers.IntegerField()
    method = serializers.CharField(allow_null=True, default=None)
    methods = serializers.ListField(child=serializers.CharField(), default=list)
    n_sites = serializers.IntegerField(default=0)
    n_left_out = serializers.IntegerField(default=0)
    darkfield = serializers.BooleanField(default=False)
    shading = serializers.FloatField(allow_null=True, default=None)
    residual_shading = serializers.DictField(child=serializers.FloatField(), default=dict)
    residual = serializers.FloatField(allow_null=True, default=None)
    profile = serializers.DictField(
        child=serializers.ListField(child=serializers.FloatField()), default=dict
    )
    vendor_problem = serializers.CharField(allow_null=True, default=None)
    warning = serializers.CharField(allow_null=True, default=None)
    pictures = serializers.SerializerMethodField()

    @extend_schema_field(serializers.DictField(child=serializers.CharField()))
    def get_pictures(self, channel: dict[str, Any]) -> dict[str, str]:
        """Return the addresses of the channel's pictures."""
        base = (
            f"/api/v1/experiments/{self.context['experiment']}/illumination/{self.context['key']}"
        )
        names = channel.get("pictures") or {}
        return {name: f"{base}/{channel['index']}/{name}/" for name in names}


class IlluminationSerializer(serializers.Serializer[Any]):
    """The current illumination statistics."""

    key = serializers.CharField()
    created_at = serializers.DateTimeField()
    sampled = serializers.IntegerField()
    channels = ChannelIlluminationSerializer(many=True)


class StitchingSerializer(serializers.Serializer[Any]):
    """How the sites of a plate were placed by what their overlaps show."""

    plate = serializers.UUIDField()
    n_sites = serializers.IntegerField()
    n_pairs = serializers.IntegerField()
    n_measured = serializers.IntegerField()
    n_used = serializers.IntegerField()
    n_unconnected = serializers.IntegerField()
    median_residual_px = serializers.FloatField(allow_null=True)
    median_confidence = serializers.FloatField(allow_null=True)
    turn_deg = serializers.FloatField()
    scale = serializers.FloatField()
    largest_move_px = serializers.FloatField()


class AlignmentSerializer(serializers.Serializer[Any]):
    """The current alignment of cycles and sites; its wells and shifts are lists of their own."""

    key = serializers.CharField()
    created_at = serializers.DateTimeField()
    layout_key = serializers.CharField()
    stitched = serializers.BooleanField()
    reference_cycle = serializers.IntegerField(allow_null=True)
    reference_channel = serializers.CharField(allow_null=True)
    n_shifts = serializers.IntegerField(default=0)
    n_outliers = serializers.IntegerField()
    median_residual_px = serializers.FloatField(allow_null=True)
    models = serializers.ListField(child=serializers.DictField(), default=list)
    stitching = StitchingSerializer(many=True)


class RowsQuerySerializer(serializers.Serializer[Any]):
    """Which rows of a plate; `after` is how many to skip."""

    plate = serializers.UUIDField()
    after = serializers.IntegerField(required=False, min_value=0, default=0)
    size = serializers.IntegerField(required=False, min_value=1, max_value=2000, default=100)


class WellAlignmentSerializer(serializers.Serializer[Any]):
    """A well over all its cycles, for the plate map."""

    well = serializers.CharField()
    n = serializers.IntegerField()
    n_outliers = serializers.IntegerField()
    shifts = serializers.ListField(
        child=serializers.ListField(child=serializers.FloatField(), allow_null=True)
    )
    worst_px = serializers.FloatField(allow_null=True, default=None)
    confidence = serializers.FloatField(allow_null=True, default=None)
    residual_px = serializers.FloatField(allow_null=True, default=None)
    outlier_sites = serializers.ListField(child=serializers.IntegerField(), default=list)


class WellAlignmentPageSerializer(serializers.Serializer[Any]):
    """Wells and where to go on: the next `after`, null at the end."""

    next = serializers.IntegerField(allow_null=True)
    results = WellAlignmentSerializer(many=True)


class ShiftSerializer(serializers.Serializer[Any]):
    """How one cycle's image of a site is moved to lie on the reference's, px."""

    site = serializers.IntegerField()
    cycle = serializers.IntegerField()
    y = serializers.FloatField()
    x = serializers.FloatField()
    measured_y = serializers.FloatField(allow_null=True)
    measured_x = serializers.FloatField(allow_null=True)
    confidence = serializers.FloatField(allow_null=True)
    outlier = serializers.BooleanField()
    residual_px = serializers.FloatField(allow_null=True)
    residual_median_px = serializers.FloatField(allow_null=True)
    y0 = serializers.IntegerField()
    x0 = serializers.IntegerField()
    y1 = serializers.IntegerField()
    x1 = serializers.IntegerField()


class ShiftPageSerializer(serializers.Serializer[Any]):
    """Shifts and where to go on: the next `after`, null at the end."""

    next = serializers.IntegerField(allow_null=True)
    results = ShiftSerializer(many=True)

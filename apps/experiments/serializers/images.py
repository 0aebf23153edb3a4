"""What goes in and out of the endpoints of what steps have found and made."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from apps.experiments.models import (
    Channel,
    Cycle,
    Mosaic,
    ObjectSet,
    ObjectType,
    Site,
    Well,
)
from apps.experiments.serializers.experiments import ReferenceSerializer

Out = serializers.ModelSerializer


class WellSerializer(Out[Well]):
    """A well at its place in the plate's mosaic."""

    plate = serializers.UUIDField(source="plate_id")
    description = serializers.DictField()

    class Meta:
        model = Well
        fields: ClassVar[list[str]] = [
            "id",
            "plate",
            "name",
            "row",
            "column",
            "y",
            "x",
            "height",
            "width",
            "description",
        ]


class SiteSerializer(Out[Site]):
    """A site at its place in the plate's mosaic."""

    well = serializers.UUIDField(source="well_id")
    well_name = serializers.CharField(source="well.name")
    plate = serializers.UUIDField(source="well.plate_id")

    class Meta:
        model = Site
        fields: ClassVar[list[str]] = [
            "id",
            "plate",
            "well",
            "well_name",
            "index",
            "name",
            "y",
            "x",
            "height",
            "width",
            "stage_y_um",
            "stage_x_um",
        ]


class PlateQuerySerializer(serializers.Serializer[Any]):
    """Only one plate's."""

    plate = serializers.UUIDField(required=False)


class SiteQuerySerializer(PlateQuerySerializer):
    """Only one plate's or well's."""

    well = serializers.UUIDField(required=False)


class CycleSerializer(Out[Cycle]):
    """A cycle."""

    class Meta:
        model = Cycle
        fields: ClassVar[list[str]] = ["id", "index"]


class ChannelSerializer(Out[Channel]):
    """A channel."""

    class Meta:
        model = Channel
        fields: ClassVar[list[str]] = [
            "id",
            "index",
            "name",
            "wavelength_nm",
            "color",
            "dtype",
            "layout_name",
        ]


class ChannelChangeSerializer(serializers.Serializer[Any]):
    """What of a channel can be changed."""

    name = serializers.CharField(max_length=120, required=False)
    color = serializers.RegexField(r"^#[0-9a-fA-F]{6}$", required=False)


class VersionQuerySerializer(PlateQuerySerializer):
    """Only current versions, only one plate's."""

    current = serializers.BooleanField(required=False, allow_null=True, default=None)


class ObjectSetQuerySerializer(VersionQuerySerializer):
    """Only current versions, only one plate's or type's."""

    object_type = serializers.UUIDField(required=False)


class LevelSerializer(serializers.Serializer[Any]):
    """One level of a pyramid."""

    path = serializers.CharField()
    height = serializers.IntegerField()
    width = serializers.IntegerField()


class MosaicChannelSerializer(serializers.Serializer[Any]):
    """A channel of a mosaic: value in original units = stored x scale + offset."""

    index = serializers.IntegerField()
    name = serializers.CharField()
    color = serializers.CharField()
    dtype = serializers.CharField()
    scale = serializers.FloatField()
    offset = serializers.FloatField()
    min = serializers.FloatField()
    max = serializers.FloatField()
    window = serializers.ListField(child=serializers.FloatField())
    histogram = serializers.DictField()


class MosaicSerializer(Out[Mosaic]):
    """A mosaic: what the map needs to show a plate. Pass the experiment's channels as context."""

    plate = ReferenceSerializer()
    origin = serializers.SerializerMethodField()
    pixel_size_um = serializers.FloatField(source="info.pixel_size_um", allow_null=True)
    n_tpoints = serializers.IntegerField(source="info.n_tpoints")
    n_zplanes = serializers.IntegerField(source="info.n_zplanes")
    projection = serializers.CharField(source="info.projection", allow_null=True)
    corrected = serializers.BooleanField(source="info.corrected")
    shape = serializers.ListField(source="info.shape", child=serializers.IntegerField())
    levels = LevelSerializer(source="info.levels", many=True)
    tile = serializers.IntegerField(source="info.tile")
    channels = serializers.SerializerMethodField()
    tile_url = serializers.SerializerMethodField()
    zarr_url = serializers.SerializerMethodField()

    class Meta:
        model = Mosaic
        fields: ClassVar[list[str]] = [
            "id",
            "key",
            "is_current",
            "layout_key",
            "plate",
            "origin",
            "pixel_size_um",
            "n_tpoints",
            "n_zplanes",
            "projection",
            "corrected",
            "shape",
            "levels",
            "tile",
            "channels",
            "tile_url",
            "zarr_url",
            "created_at",
        ]

    @extend_schema_field(serializers.ListField(child=serializers.IntegerField()))
    def get_origin(self, mosaic: Mosaic) -> list[int]:
        """Return where the plate stands in the experiment's world, (y, x)."""
        return list(mosaic.plate.layout.get("origin", (0, 0)))

    @extend_schema_field(MosaicChannelSerializer(many=True))
    def get_channels(self, mosaic: Mosaic) -> list[dict[str, Any]]:
        """Return the channels under the names and colours that people gave them."""
        rows: dict[int, Channel] = self.context.get("channels", {})
        return [
            {**each, "name": rows[i].name, "color": rows[i].color}
            if (i := each["index"]) in rows
            else each
            for each in mosaic.info.get("channels") or []
        ]

    def get_tile_url(self, mosaic: Mosaic) -> str:
        """Return the template of the address of a tile."""
        return f"/tiles/{mosaic.experiment_id}/{mosaic.id}/{mosaic.key}/{{level}}/{{t}}/{{c}}/{{z}}/{{y}}/{{x}}"

    def get_zarr_url(self, mosaic: Mosaic) -> str:
        """Return where the image is read as OME-Zarr."""
        return f"/zarr/{mosaic.experiment_id}/{mosaic.id}.zarr/"


class FeatureRangeSerializer(serializers.Serializer[Any]):
    """A feature and its range: `low` and `high` are the 1st and 99.9th percentile."""

    name = serializers.CharField()
    unit = serializers.CharField(allow_blank=True, allow_null=True, required=False)
    min = serializers.FloatField(allow_null=True, required=False)
    max = serializers.FloatField(allow_null=True, required=False)
    low = serializers.FloatField(allow_null=True, required=False)
    high = serializers.FloatField(allow_null=True, required=False)
    n_missing = serializers.IntegerField(allow_null=True, required=False)


class WellRangeSerializer(serializers.Serializer[Any]):
    """A well's objects have the indices first … first + count - 1."""

    name = serializers.CharField()
    first = serializers.IntegerField()
    count = serializers.IntegerField()


class ObjectTypeSerializer(Out[ObjectType]):
    """A kind of object and its features."""

    features = serializers.SerializerMethodField()

    class Meta:
        model = ObjectType
        fields: ClassVar[list[str]] = ["id", "name", "features"]

    @extend_schema_field(serializers.ListField(child=serializers.DictField()))
    def get_features(self, kind: ObjectType) -> list[dict[str, str]]:
        """Return names and units of the features."""
        return [{"name": f.name, "unit": f.unit} for f in kind.features.all()]


class ObjectSetSerializer(Out[ObjectSet]):
    """The objects of one type on one plate."""

    object_type = ReferenceSerializer()
    plate = ReferenceSerializer()
    shape = serializers.ListField(source="info.shape", child=serializers.IntegerField())
    levels = LevelSerializer(source="info.levels", many=True)
    tile = serializers.IntegerField(source="info.tile")
    wells = WellRangeSerializer(source="info.wells", many=True)
    features = FeatureRangeSerializer(source="info.features", many=True)
    tile_url = serializers.SerializerMethodField()
    outline_url = serializers.SerializerMethodField()
    features_url = serializers.SerializerMethodField()
    zarr_url = serializers.SerializerMethodField()

    class Meta:
        model = ObjectSet
        fields: ClassVar[list[str]] = [
            "id",
            "key",
            "is_current",
            "layout_key",
            "object_type",
            "plate",
            "n_objects",
            "shape",
            "levels",
            "tile",
            "wells",
            "features",
            "tile_url",
            "outline_url",
            "features_url",
            "zarr_url",
            "created_at",
        ]

    def get_tile_url(self, objects: ObjectSet) -> str:
        """Return the template of the address of a tile of indices."""
        return (
            f"/tiles/{objects.experiment_id}/{objects.id}/{objects.key}"
            "/{level}/{t}/{c}/{z}/{y}/{x}"
        )

    def get_outline_url(self, objects: ObjectSet) -> str:
        """Return the template of the address of a vector tile."""
        return (
            f"/tiles/{objects.experiment_id}/{objects.id}/{objects.key}/{{level}}/{{y}}/{{x}}.mvt"
        )

    def get_features_url(self, objects: ObjectSet) -> str:
        """Return the template of the address of a feature's values."""
        return (
            f"/api/v1/experiments/{objects.experiment_id}/object-sets/{objects.id}"
            "/features/{name}/"
        )

    def get_zarr_url(self, objects: ObjectSet) -> str:
        """Return where the index image is read as OME-Zarr."""
        return f"/zarr/{objects.experiment_id}/{objects.id}.zarr/"

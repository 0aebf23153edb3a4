"""What goes in and out of the endpoints of what steps have found and made."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from apps.experiments.models import (
    Channel,
    Cycle,
    Inspection,
    LayoutEdit,
    LayoutVersion,
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
            "is_derived",
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

    index = serializers.IntegerField(help_text="of the channel in the experiment")
    c = serializers.IntegerField(help_text="place on the image's axis of channels")
    name = serializers.CharField()
    color = serializers.CharField()
    dtype = serializers.CharField()
    scale = serializers.FloatField()
    offset = serializers.FloatField()
    brightfield = serializers.BooleanField(required=False)
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
            "is_derived",
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
        found = []
        for each in mosaic.info.get("channels") or []:
            if each.get("hidden"):
                continue
            index = each.get("channel", each["index"])
            own = {**each, "index": index, "c": each["index"]}
            if index in rows:
                own |= {"name": rows[index].name, "color": rows[index].color}
            found.append(own)
        return found

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

    def get_outline_url(self, objects: ObjectSet) -> str | None:
        """Return the template of the address of a vector tile; none for regions of the layout."""
        if not objects.info.get("outlines", True):
            return None
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


class LayoutSerializer(Out[LayoutVersion]):
    """The current layout: what metaconfig made of files, names and corrections.

    Its wells and sites are the lists of wells and sites, its planes a list of their own.
    """

    n_plates = serializers.IntegerField(source="summary.n_plates", default=0)
    n_wells = serializers.IntegerField(source="summary.n_wells", default=0)
    n_sites = serializers.IntegerField(source="summary.n_sites", default=0)
    n_tpoints = serializers.IntegerField(source="summary.n_tpoints", default=0)
    n_zplanes = serializers.IntegerField(source="summary.n_zplanes", default=0)
    n_cycles = serializers.IntegerField(source="summary.n_cycles", default=0)
    n_problems = serializers.IntegerField(source="summary.n_problems", default=0)
    pixel_size_um = serializers.FloatField(
        source="summary.pixel_size_um", allow_null=True, default=None
    )
    z_step_um = serializers.FloatField(source="summary.z_step_um", allow_null=True, default=None)
    objective = serializers.CharField(source="summary.objective", allow_null=True, default=None)
    channels = serializers.ListField(
        source="summary.channels", child=serializers.DictField(), default=list
    )
    acquisitions = serializers.ListField(
        source="summary.acquisitions", child=serializers.DictField(), default=list
    )
    plates = serializers.ListField(
        source="summary.plates", child=serializers.DictField(), default=list
    )
    problems = serializers.ListField(
        source="summary.problems", child=serializers.DictField(), default=list
    )

    class Meta:
        model = LayoutVersion
        fields: ClassVar[list[str]] = [
            "id", "key", "created_at", "n_plates", "n_wells", "n_sites", "n_tpoints", "n_zplanes",
            "n_cycles", "n_problems", "pixel_size_um", "z_step_um", "objective", "channels",
            "acquisitions", "plates", "problems",
        ]  # fmt: skip


class LayoutEditSerializer(Out[LayoutEdit]):
    """One version of the layout's corrections."""

    corrections = serializers.DictField(source="content")
    created_by = serializers.CharField(source="created_by.username", default=None, allow_null=True)

    class Meta:
        model = LayoutEdit
        fields: ClassVar[list[str]] = ["number", "corrections", "created_by", "created_at"]


class LayoutCorrectSerializer(serializers.Serializer[Any]):
    """New corrections; `number` is the version they were made from, 0 for none."""

    corrections = serializers.DictField()
    number = serializers.IntegerField(required=False, min_value=0)


class PlaneQuerySerializer(serializers.Serializer[Any]):
    """Which planes; `after` is how many rows to skip."""

    plate = serializers.UUIDField()
    well = serializers.CharField(required=False, max_length=10)
    site = serializers.IntegerField(required=False, min_value=0)
    after = serializers.IntegerField(required=False, min_value=0, default=0)
    size = serializers.IntegerField(required=False, min_value=1, max_value=1000, default=100)


class PlaneSerializer(serializers.Serializer[Any]):
    """One plane: which page (and colour) of which file it is."""

    well = serializers.CharField()
    site = serializers.IntegerField()
    acquisition = serializers.CharField()
    t = serializers.IntegerField()
    channel = serializers.IntegerField()
    z = serializers.IntegerField()
    role = serializers.CharField()
    file = serializers.CharField()
    page = serializers.IntegerField()
    sample = serializers.IntegerField()


class PlanePageSerializer(serializers.Serializer[Any]):
    """Planes and where to go on: the next `after`, null at the end."""

    next = serializers.IntegerField(allow_null=True)
    results = PlaneSerializer(many=True)


class InspectionSerializer(Out[Inspection]):
    """A look at an acquisition's files: what a reader or a pattern makes of them."""

    acquisition = serializers.UUIDField(source="acquisition_id")
    result = serializers.DictField()
    error = serializers.DictField(allow_null=True)

    class Meta:
        model = Inspection
        fields: ClassVar[list[str]] = [
            "id", "acquisition", "microscope", "pattern", "state", "result", "error", "created_at",
        ]  # fmt: skip


class NewInspectionSerializer(serializers.Serializer[Any]):
    """Which reader and which pattern to try; neither: what would be used by itself."""

    microscope = serializers.CharField(max_length=60, required=False, allow_blank=True)
    pattern = serializers.CharField(max_length=1000, required=False, allow_blank=True)

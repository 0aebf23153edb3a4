"""What goes in and out of the endpoints of experiments, plates and files."""

from __future__ import annotations

from typing import Any, ClassVar

from rest_framework import serializers

from apps.core.permissions import LEVELS
from apps.experiments.models import (
    Acquisition,
    AcquisitionMode,
    Experiment,
    FileStatus,
    Plate,
    SourceFile,
)

PLATE_FORMATS = (1, 6, 12, 24, 48, 96, 384, 1536)
Out = serializers.ModelSerializer


class ReferenceSerializer(serializers.Serializer[Any]):
    """Something by id and name."""

    id = serializers.UUIDField()
    name = serializers.CharField()


class ExperimentCountsSerializer(serializers.Serializer[Any]):
    """How much an experiment holds of what the reader may see."""

    plates = serializers.IntegerField(source="n_plates")
    wells = serializers.IntegerField(source="n_wells")
    sites = serializers.IntegerField(source="n_sites")
    objects = serializers.IntegerField(source="n_objects")


class ExperimentSerializer(Out[Experiment]):
    """An experiment."""

    group = ReferenceSerializer()
    role = serializers.ChoiceField(LEVELS)
    status = ExperimentCountsSerializer(source="*")

    class Meta:
        model = Experiment
        fields: ClassVar[list[str]] = [
            "id",
            "name",
            "description",
            "group",
            "workflow_type",
            "plate_format",
            "acquisition_mode",
            "microscope",
            "created_at",
            "updated_at",
            "role",
            "status",
        ]


class ExperimentChangeSerializer(serializers.Serializer[Any]):
    """What of an experiment can be changed."""

    name = serializers.CharField(max_length=120)
    description = serializers.CharField(max_length=20000, allow_blank=True, required=False)
    workflow_type = serializers.RegexField(r"^[a-z][a-z0-9_-]{0,59}$", required=False)
    plate_format = serializers.ChoiceField(PLATE_FORMATS, required=False)
    acquisition_mode = serializers.ChoiceField(AcquisitionMode.choices, required=False)
    microscope = serializers.CharField(max_length=60, allow_blank=True, required=False)


class NewExperimentSerializer(ExperimentChangeSerializer):
    """A new experiment; `group` may be left out by a member of one group only."""

    group = serializers.UUIDField(required=False)


class AccessSerializer(serializers.Serializer[Any]):
    """A grant: `subject` names it when it is taken back."""

    subject = serializers.UUIDField()
    kind = serializers.ChoiceField(["user", "group"])
    name = serializers.CharField()
    level = serializers.ChoiceField(LEVELS)
    plate = ReferenceSerializer(allow_null=True)
    object_type = ReferenceSerializer(allow_null=True)


class NewAccessSerializer(serializers.Serializer[Any]):
    """Give a user or a group (by name or id) a level, on the whole or on one part."""

    user = serializers.CharField(max_length=150, required=False, source="subject_user")
    group = serializers.CharField(max_length=150, required=False, source="subject_group")
    level = serializers.ChoiceField(LEVELS)
    plate = serializers.UUIDField(required=False)
    object_type = serializers.UUIDField(required=False)


class AccessPartSerializer(serializers.Serializer[Any]):
    """The part whose grant is meant; none: the whole experiment."""

    plate = serializers.UUIDField(required=False)
    object_type = serializers.UUIDField(required=False)


class PlateSerializer(Out[Plate]):
    """A plate; `layout` has size, pitch and origin by the current layout, empty before there is one."""

    layout = serializers.DictField()

    class Meta:
        model = Plate
        fields: ClassVar[list[str]] = ["id", "name", "description", "layout", "created_at"]


class PlateChangeSerializer(serializers.Serializer[Any]):
    """What of a plate can be changed, and what a new one needs."""

    name = serializers.CharField(max_length=120)
    description = serializers.CharField(max_length=20000, allow_blank=True, required=False)


class AcquisitionSerializer(Out[Acquisition]):
    """An acquisition and how much of its files is there."""

    plate = ReferenceSerializer()
    files = serializers.IntegerField(source="n_files", default=0)
    bytes = serializers.IntegerField(source="size")
    received = serializers.IntegerField(source="n_received", default=0)

    class Meta:
        model = Acquisition
        fields: ClassVar[list[str]] = [
            "id",
            "name",
            "index",
            "description",
            "plate",
            "source",
            "folder",
            "microscope",
            "pattern",
            "status",
            "files",
            "bytes",
            "received",
            "created_at",
        ]


class NewAcquisitionSerializer(serializers.Serializer[Any]):
    """A new acquisition of a plate."""

    plate = serializers.UUIDField()
    name = serializers.CharField(max_length=120)
    description = serializers.CharField(max_length=20000, allow_blank=True, required=False)
    microscope = serializers.CharField(max_length=60, allow_blank=True, required=False)
    pattern = serializers.CharField(max_length=1000, allow_blank=True, required=False)


class AcquisitionChangeSerializer(serializers.Serializer[Any]):
    """What of an acquisition can be changed; an empty reader or pattern means: find out."""

    name = serializers.CharField(max_length=120, required=False)
    description = serializers.CharField(max_length=20000, allow_blank=True, required=False)
    microscope = serializers.CharField(max_length=60, required=False, allow_blank=True)
    pattern = serializers.CharField(max_length=1000, required=False, allow_blank=True)


class RegisterSerializer(serializers.Serializer[Any]):
    """A folder of the server."""

    # The service names what is wrong with a path better than a field could.
    path = serializers.JSONField()

    def validate_path(self, value: Any) -> str:
        """Accept text only."""
        if not isinstance(value, str) or not 0 < len(value) <= 4096:
            raise serializers.ValidationError("not a path")
        return value


class RegisteredSerializer(serializers.Serializer[Any]):
    """What was found in a registered folder."""

    files = serializers.IntegerField()
    bytes = serializers.IntegerField()


class FileSerializer(Out[SourceFile]):
    """A file; an upload goes on at byte `received`."""

    class Meta:
        model = SourceFile
        fields: ClassVar[list[str]] = ["name", "size", "received", "status", "checksum"]


class FileQuerySerializer(serializers.Serializer[Any]):
    """Which files."""

    status = serializers.ChoiceField(FileStatus.choices, required=False)

"""What goes in and out of the tools' endpoints."""

from typing import Any

from rest_framework import serializers

from apps.tools.models import ResultState, ToolResult


class NamedSerializer(serializers.Serializer[Any]):
    """An id and a name."""

    id = serializers.UUIDField()
    name = serializers.CharField()


class ToolSerializer(serializers.Serializer[Any]):
    """One tool and the JSON Schema of its arguments."""

    name = serializers.CharField()
    title = serializers.CharField()
    help = serializers.CharField()
    version = serializers.IntegerField()
    schema = serializers.JSONField()


class ToolRequestSerializer(serializers.Serializer[Any]):
    """A request to a tool."""

    tool = serializers.CharField(max_length=50)
    object_type = serializers.CharField(max_length=50)
    arguments = serializers.DictField(default=dict)
    name = serializers.CharField(max_length=100, default="", allow_blank=True)


class ToolResultSerializer(serializers.ModelSerializer[ToolResult]):
    """A result and what it means."""

    object_type = NamedSerializer(read_only=True)
    created_by = serializers.CharField(source="created_by.username", default=None, read_only=True)
    state = serializers.ChoiceField(choices=ResultState.choices, read_only=True)
    values_url = serializers.SerializerMethodField()

    class Meta:
        model = ToolResult
        fields = (
            "id",
            "tool",
            "tool_version",
            "name",
            "object_type",
            "arguments",
            "state",
            "error",
            "info",
            "job",
            "values_url",
            "created_by",
            "created_at",
        )

    def to_representation(self, instance: ToolResult) -> dict[str, Any]:
        """Leave out the plates that the reader does not see (context `plates`: their ids or "all")."""
        shown = super().to_representation(instance)
        plates = self.context.get("plates", "all")
        if plates != "all":
            seen = {str(each) for each in plates}
            every = shown["info"].get("plates", [])
            shown["info"] = {
                **shown["info"],
                "plates": [each for each in every if str(each["id"]) in seen],
            }
        return shown

    def get_values_url(self, result: ToolResult) -> str:
        """Return where the values are."""
        return f"/api/v1/experiments/{result.experiment_id}/tool-results/{result.id}/values/"


class RenameSerializer(serializers.Serializer[Any]):
    """A new name."""

    name = serializers.CharField(max_length=100)


class ValuesQuerySerializer(serializers.Serializer[Any]):
    """Which values, and how."""

    plate = serializers.UUIDField()
    format = serializers.ChoiceField(choices=["f4", "u1"], default="f4")
    low = serializers.FloatField(required=False)
    high = serializers.FloatField(required=False)

"""Who may do what with the tools' routes. How a row is written: see `roles`."""

from tests.integration.access.roles import EDIT, SIGNED_IN, VIEW, World, row

# Nothing has been segmented in the test's world: an editor learns so, others learn nothing.
REQUEST = {"tool": "heatmap", "object_type": "{object_type}", "arguments": {"feature": "Area"}}


def build(world: World) -> dict[str, object]:
    """Add a finished result; its values were never written, which who may see it learns."""
    from apps.tools.models import ToolResult

    result = ToolResult.objects.create(
        experiment=world.experiment,
        object_type=world.object_type,
        tool="heatmap",
        tool_version=1,
        name="a heat map",
        state="succeeded",
        info={"plates": [{"id": str(world.plate.id)}], "low": 0.0, "high": 1.0},
    )
    return {"result_id": result.id, "object_type": world.object_type.name}


ROWS = [
    row("GET", "tool-list", None, SIGNED_IN(200)),
    row("POST", "tool-request", REQUEST, EDIT(202)),
    row("GET", "tool-result-list", None, VIEW(200)),
    row("GET", "tool-result", None, VIEW(200)),
    row("PATCH", "tool-result", {"name": "another name"}, EDIT(200)),
    row("DELETE", "tool-result", None, EDIT(204)),
    row("GET", "tool-result-values?plate={plate_id}", None, VIEW(404)),
]

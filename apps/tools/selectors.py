"""Reads of tool results. Who may see an experiment and the object type sees its results."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from apps.core.errors import NotFound
from apps.experiments.selectors import experiment_get, experiment_root, reach
from apps.tools.models import ResultState, ToolResult
from gpu_workers import registry
from gpu_workers.errors import DataMissing

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from apps.accounts.models import User
    from apps.experiments.selectors import Some


def tools_describe() -> list[dict[str, Any]]:
    """Return name, title, help, version and argument schema of every registered tool."""
    tools = [registry.load("tools", name) for name in registry.names("tools")]
    return [
        {
            "name": tool.name,
            "title": tool.title,
            "help": tool.help,
            "version": tool.VERSION,
            "schema": tool.Arguments.model_json_schema(),
        }
        for tool in tools
    ]


def tool_results_list(*, user: User, experiment_id: UUID) -> QuerySet[ToolResult]:
    """Return the results of an experiment that `user` may see, newest first."""
    experiment = experiment_get(user=user, experiment_id=experiment_id)
    found = ToolResult.objects.filter(experiment=experiment).select_related(
        "object_type", "created_by"
    )
    types = reach(user=user, experiment_id=experiment_id).object_types
    return found if types == "all" else found.filter(object_type_id__in=types)


def plates_seen(*, user: User, experiment_id: UUID) -> Some:
    """Return the plates whose values of a result `user` may see, or "all"."""
    return reach(user=user, experiment_id=experiment_id).plates


def tool_result_get(*, user: User, experiment_id: UUID, result_id: UUID) -> ToolResult:
    """Return one result; `NotFound` if it is not there or not to be seen."""
    result = tool_results_list(user=user, experiment_id=experiment_id).filter(id=result_id).first()
    if result is None:
        raise NotFound("there is no such tool result")
    return result


def tool_result_values(
    *,
    user: User,
    experiment_id: UUID,
    result_id: UUID,
    plate_id: UUID,
    as_bytes: bool,
    low: float | None = None,
    high: float | None = None,
) -> tuple[bytes, float, float, int]:
    """Return the values of one plate as little-endian bytes, their limits and their number.

    `as_bytes` asks for one byte a value: 0 for none, 1 to 255 over [low, high]; else float32.
    """
    from gpu_workers.storage.columns import quantised
    from gpu_workers.tools.results import read_values

    result = tool_result_get(user=user, experiment_id=experiment_id, result_id=result_id)
    plates = reach(user=user, experiment_id=experiment_id).plates
    known = {p["id"] for p in result.info.get("plates", [])}
    if str(plate_id) not in known or (plates != "all" and plate_id not in plates):
        raise NotFound("the result has no values for that plate")
    if result.state != ResultState.SUCCEEDED:
        raise NotFound("the result has no values yet")
    try:
        values = read_values(experiment_root(experiment_id), str(result_id), str(plate_id))
    except DataMissing as error:
        raise NotFound(error.message) from error
    low = result.info["low"] if low is None else low
    high = result.info["high"] if high is None else high
    raw = quantised(values, low, high).tobytes() if as_bytes else values.tobytes()
    return raw, low, high, len(values)

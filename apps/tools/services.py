"""Writes of tool results: request, publish, rename, delete."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from django.db import transaction
from pydantic import ValidationError

from apps.core.errors import Conflict, Invalid, NotFound
from apps.experiments.selectors import (
    current_inputs,
    experiment_description,
    experiment_get,
    object_type_get,
)
from apps.jobs.services import NewJob, event_publish, jobs_kill, jobs_submit
from apps.tools.models import ResultState, ToolResult
from apps.tools.selectors import tool_result_get
from gpu_workers import registry
from gpu_workers.errors import UserError
from gpu_workers.storage.layout import REGION_TYPES

if TYPE_CHECKING:
    from apps.accounts.models import User
    from apps.jobs.models import Job
    from gpu_workers.messages import JobResult


@transaction.atomic
def tool_request(
    *,
    user: User,
    experiment_id: UUID,
    tool: str,
    object_type: str,
    arguments: dict[str, Any],
    name: str = "",
) -> ToolResult:
    """Ask a tool for a result; the work runs on the ``interactive`` queue.

    Raises
    ------
    NotFound
        No such experiment or object type, or they are not to be seen.
    Invalid
        No such tool, or its arguments are wrong; the message names the argument.
    Conflict
        Nothing has been segmented yet.
    """
    experiment = experiment_get(user=user, experiment_id=experiment_id, level="edit")
    kind = object_type_get(user=user, experiment_id=experiment_id, name=object_type)
    described = _tool(tool)
    valid = _validated(described, {**arguments, "object_type": object_type})
    current = current_inputs(experiment_id=experiment_id)
    own = "regions" if kind.name in REGION_TYPES else f"objects/{kind.name}"
    if own in current:
        current["objects"] = current[own]
    if any(product not in current for product in described.requires):
        raise Conflict(
            f"{described.title} needs segmented objects: run the workflow to its end first",
            code="missing_input",
        )
    inputs = {product: current[product] for product in described.requires}
    identifier = uuid4()
    jobs = jobs_submit(
        scope=experiment_id,
        group_id=experiment.group_id,
        parent=identifier,
        jobs=[
            NewJob(
                kind="tool",
                name=tool,
                queue="interactive",
                experiment=experiment_description(experiment_id=experiment_id, corrected=False),
                arguments=valid,
                inputs=inputs,
                batch={"result": str(identifier)},
            )
        ],
    )
    result = ToolResult.objects.create(
        id=identifier,
        experiment=experiment,
        object_type=kind,
        tool=tool,
        tool_version=described.VERSION,
        name=name or f"{described.title}: {valid.get('feature', object_type)}",
        arguments=valid,
        inputs=inputs,
        job=jobs[0].id,
        created_by=user,
    )
    _announce(result)
    return result


def _tool(name: str) -> Any:
    try:
        return registry.load("tools", name)
    except UserError as error:
        raise Invalid(error.message, code=error.code) from error


def _validated(tool: Any, arguments: dict[str, Any]) -> dict[str, Any]:
    try:
        return dict(tool.Arguments.model_validate(arguments).model_dump(mode="json"))
    except ValidationError as error:
        faults = {".".join(map(str, e["loc"])) or "arguments": e["msg"] for e in error.errors()}
        text = "; ".join(f"{where}: {what}" for where, what in faults.items())
        raise Invalid(text, code="invalid_arguments", extra=faults) from error


def _announce(result: ToolResult) -> None:
    event_publish(
        scope=result.experiment_id,
        kind="tool.state",
        payload={"tool_result": str(result.id), "state": result.state},
    )


def tool_result_started(job: Job) -> None:
    """Mark the result of a job that a worker has claimed; repeats do nothing."""
    found = ToolResult.objects.filter(job=job.id, state=ResultState.WAITING)
    if found.update(state=ResultState.RUNNING):
        _announce(ToolResult.objects.get(job=job.id))


def tool_result_apply(job: Job, outcome: JobResult) -> None:
    """Publish what a job made, or why it failed; called in the transaction that ends the job."""
    result = ToolResult.objects.select_for_update().filter(job=job.id).first()
    if result is None or result.state in {ResultState.SUCCEEDED, ResultState.FAILED}:
        return
    result.state = ResultState(outcome.state)
    result.info = outcome.output
    result.path = outcome.products.get("result", "")
    result.error = outcome.error.model_dump(mode="json") if outcome.error else None
    result.save(update_fields=["state", "info", "path", "error", "updated_at"])
    _announce(result)


@transaction.atomic
def tool_result_rename(
    *, user: User, experiment_id: UUID, result_id: UUID, name: str
) -> ToolResult:
    """Give a result another name."""
    experiment_get(user=user, experiment_id=experiment_id, level="edit")
    result = tool_result_get(user=user, experiment_id=experiment_id, result_id=result_id)
    result.name = name
    result.save(update_fields=["name", "updated_at"])
    return result


@transaction.atomic
def tool_result_delete(*, user: User, experiment_id: UUID, result_id: UUID) -> None:
    """Delete a result and stop its job; its folder is collected as garbage later."""
    experiment_get(user=user, experiment_id=experiment_id, level="edit")
    result = tool_result_get(user=user, experiment_id=experiment_id, result_id=result_id)
    if result.job:
        jobs_kill(job_ids=[result.job])
    if not ToolResult.objects.filter(id=result_id).delete()[0]:
        raise NotFound("there is no such tool result")

"""Submitting, resubmitting and killing workflows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from apps.core import audit
from apps.core.errors import Conflict, Invalid
from apps.experiments.models import Experiment
from apps.experiments.selectors import current_inputs, experiment_get
from apps.jobs.services import jobs_kill, scopes_lock
from apps.workflows import graph
from apps.workflows.errors import WorkflowErrorCode
from apps.workflows.graph import State
from apps.workflows.models import StageRun, StepRun, Workflow
from apps.workflows.selectors.types import (
    Description,
    StageDescription,
    description_check,
    workflow_type,
)
from apps.workflows.selectors.workflows import description_get, workflow_get
from apps.workflows.services.descriptions import description_save
from apps.workflows.services.running import Run
from gpu_workers import registry

if TYPE_CHECKING:
    from apps.accounts.models import User

ALIVE = (State.WAITING, State.RUNNING)


@transaction.atomic
def workflow_submit(
    *,
    user: User,
    experiment_id: UUID,
    stages: list[str] | None = None,
    until: str | None = None,
    description: dict[str, Any] | None = None,
    idempotency_key: str = "",
) -> Workflow:
    """Submit the experiment's workflow, or only some of its stages; returns the workflow.

    `until` names the last step that runs: up to metaconfig, say, to look at the layout first.
    A description that is given is checked and kept first. The same idempotency key gives the same
    workflow again and submits nothing.

    Raises
    ------
    Invalid
        The description is wrong, a stage or step is unknown, or a step's input has never been made.
    Conflict
        Another workflow of the experiment runs.
    """
    experiment = experiment_get(user=user, experiment_id=experiment_id, level="edit")
    scopes_lock([experiment_id])
    earlier = _earlier(experiment, idempotency_key)
    if earlier is not None:
        return earlier
    _check_idle(experiment)
    if description is not None:
        described = description_save(user=user, experiment_id=experiment_id, body=description)
    else:
        saved = description_get(user=user, experiment_id=experiment_id)
        described = description_check(saved.model_dump(mode="json"))
    chosen = _chosen(described, stages)
    return _start(user, experiment, described, chosen, {}, idempotency_key, until)


def _earlier(experiment: Experiment, idempotency_key: str) -> Workflow | None:
    if not idempotency_key:
        return None
    return Workflow.objects.filter(
        experiment=experiment, idempotency_key=idempotency_key[:100]
    ).first()


def _check_idle(experiment: Experiment) -> None:
    running = Workflow.objects.filter(experiment=experiment, state__in=ALIVE).first()
    if running is not None:
        raise Conflict(
            f"workflow {running.number} of this experiment is still running",
            code=WorkflowErrorCode.RUNNING,
            extra={"workflow": str(running.id)},
        )


def _chosen(described: Description, stages: list[str] | None) -> set[str]:
    names = [stage.name for stage in described.stages]
    unknown = [name for name in stages or [] if name not in names]
    if unknown:
        raise Invalid(
            f"no stage is called {unknown[0]!r}; known: {', '.join(names)}",
            code=WorkflowErrorCode.UNKNOWN_STAGE,
            extra={"stage": unknown[0]},
        )
    return set(names if stages is None else stages)


def _check_inputs(
    experiment: Experiment, described: Description, runs: list[tuple[StageDescription, int]]
) -> None:
    """Refuse a workflow that is bound to fail because a step's input will not be there."""
    kind = workflow_type(described.type)
    available = set(current_inputs(experiment_id=experiment.id))
    for stage, index in runs:
        step = stage.steps[index]
        entry = registry.load("steps", step.name)
        missing = [name for name in entry.requires if name not in available]
        if missing:
            raise Invalid(
                f"stage {stage.name}, step {step.name} needs {', '.join(missing)}, "
                "which no step has made yet: activate the steps before it",
                code=WorkflowErrorCode.MISSING_INPUT,
                extra={"stage": stage.name, "step": step.name, "missing": missing},
            )
        place = kind.step(step.name)
        available.update(place.makes if place else ())


def _end(every: list[tuple[StageDescription, int]], until: str | None) -> int | None:
    """Return how many steps there are up to and with the one called `until`; None: all."""
    if until is None:
        return None
    names = [stage.steps[index].name for stage, index in every]
    if until not in names:
        raise Invalid(
            f"no step is called {until!r}; known: {', '.join(names)}",
            code=WorkflowErrorCode.UNKNOWN_STEP,
            extra={"step": until},
        )
    return names.index(until) + 1


def _start(
    user: User,
    experiment: Experiment,
    described: Description,
    chosen: set[str],
    reused: dict[str, State],
    idempotency_key: str,
    until: str | None = None,
) -> Workflow:
    every = [(stage, i) for stage in described.stages for i in range(len(stage.steps))]
    runs = [
        (stage, index)
        for stage, index in every[: _end(every, until)]
        if stage.name in chosen and stage.active and stage.steps[index].active
    ]
    if not runs:
        raise Invalid("no active step is left to run", code=WorkflowErrorCode.BAD_DESCRIPTION)
    _check_inputs(experiment, described, runs)
    last = Workflow.objects.filter(experiment=experiment).aggregate(n=Max("number"))["n"] or 0
    workflow = Workflow.objects.create(
        experiment=experiment,
        number=last + 1,
        description=described.model_dump(mode="json"),
        submitted_by=user,
        idempotency_key=idempotency_key[:100],
    )
    wanted = {(stage.name, index) for stage, index in runs}
    _rows(workflow, described, wanted, reused)
    run = Run(workflow)
    run.go(graph.submitted(run.states()))
    for index in range(len(run.steps)):
        run.note(index)
    run.save()
    audit.record(actor=user, action="workflow.submit", obj=workflow, experiment=str(experiment.id))
    return workflow


def _rows(
    workflow: Workflow,
    described: Description,
    wanted: set[tuple[str, int]],
    reused: dict[str, State],
) -> None:
    number = 0
    for position, stage in enumerate(described.stages):
        row = StageRun.objects.create(workflow=workflow, name=stage.name, index=position)
        steps = []
        for index, step in enumerate(stage.steps):
            active = (stage.name, index) in wanted
            off = reused.get(stage.name, State.SKIPPED)
            steps.append(
                StepRun(
                    stage_run=row,
                    workflow=workflow,
                    name=step.name,
                    index=number,
                    active=active,
                    state=State.WAITING if active else off,
                    arguments=step.arguments,
                    limits=step.limits.model_dump(mode="json") if step.limits else {},
                )
            )
            number += 1
        StepRun.objects.bulk_create(steps)


@transaction.atomic
def workflow_resubmit(
    *,
    user: User,
    experiment_id: UUID,
    workflow_id: UUID,
    from_stage: str | None = None,
    only_failed: bool = False,
) -> Workflow:
    """Submit again with the description as it is now, from a stage or from the first that failed.

    Jobs whose step, arguments and inputs have not changed are reused, so `only_failed` runs again
    what failed, was killed or never ran. Neither given: everything, from the first stage.

    Raises
    ------
    Invalid
        No such stage, or a stage before it has never succeeded.
    Conflict
        A workflow of the experiment runs.
    """
    earlier = workflow_get(
        user=user, experiment_id=experiment_id, workflow_id=workflow_id, level="edit"
    )
    scopes_lock([experiment_id])
    _check_idle(earlier.experiment)
    saved = description_get(user=user, experiment_id=experiment_id)
    described = description_check(saved.model_dump(mode="json"))
    states = {stage.name: State(stage.state) for stage in earlier.stages.all()}
    names = [stage.name for stage in described.stages]
    if from_stage is None and only_failed:
        undone = [name for name in names if states.get(name) not in graph.GOOD]
        from_stage = undone[0] if undone else names[-1]
    first = from_stage if from_stage is not None else names[0]
    _chosen(described, [first])
    before = names[: names.index(first)]
    undone = [name for name in before if states.get(name) not in graph.GOOD]
    if undone:
        raise Invalid(
            f"stage {undone[0]} has not succeeded: submit again from there",
            code=WorkflowErrorCode.MISSING_INPUT,
            extra={"stage": undone[0]},
        )
    reused = {
        name: State.SKIPPED if states[name] == State.SKIPPED else State.REUSED for name in before
    }
    chosen = set(names[names.index(first) :])
    return _start(user, earlier.experiment, described, chosen, reused, "")


@transaction.atomic
def workflow_kill(*, user: User, experiment_id: UUID, workflow_id: UUID) -> Workflow:
    """End a workflow and all its jobs at once; raises Conflict if it is at its end already."""
    found = workflow_get(
        user=user, experiment_id=experiment_id, workflow_id=workflow_id, level="edit"
    )
    scopes_lock([experiment_id])
    locked = Workflow.objects.select_for_update(of=("self",)).select_related("experiment")
    workflow = locked.get(id=found.id)
    if workflow.state not in ALIVE:
        raise Conflict(
            f"workflow {workflow.number} is at its end already ({workflow.state})",
            code=WorkflowErrorCode.NOT_RUNNING,
        )
    run = Run(workflow)
    alive = [step.id for step in run.steps if step.state == State.RUNNING]
    run.go(graph.killed(run.states()))
    for step in alive:
        jobs_kill(parent=step)
    run.save()
    workflow.ended_at = timezone.now()
    audit.record(actor=user, action="workflow.kill", obj=workflow, experiment=str(experiment_id))
    return workflow

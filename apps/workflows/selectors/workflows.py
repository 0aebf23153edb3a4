"""Reads of workflows and their jobs.

They are the whole experiment's: a grant on a part of it shows none (logs name every plate).
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from apps.accounts.models import User
from apps.core.errors import NotFound
from apps.experiments.models import Experiment
from apps.experiments.selectors import experiment_get, reach
from apps.jobs.models import Event, Job
from apps.jobs.selectors import counts_of, events_after, job_find, log_read, sequence_of, tallies_of
from apps.jobs.services.queue import progress_read
from apps.workflows.models import SavedDescription, StepRun, Workflow
from apps.workflows.selectors.types import Description, description_default

EVENTS = 1000
PART_KINDS = frozenset({"mosaic.ready", "objects.ready", "tool.state"})
"""Events that name nothing of the rest of an experiment: all that who sees only parts is told."""


def sees_whole(*, user: User, experiment_id: UUID) -> bool:
    """Tell whether a user sees all of an experiment; raises NotFound if they see nothing of it."""
    seen = reach(user=user, experiment_id=experiment_id)
    return seen.plates == "all" and seen.object_types == "all"


def whole_experiment(*, user: User, experiment_id: UUID, level: str = "view") -> Experiment:
    """Return an experiment that the user sees as a whole, with a level; raises NotFound."""
    experiment = experiment_get(user=user, experiment_id=experiment_id, level=level)
    if not sees_whole(user=user, experiment_id=experiment_id):
        raise NotFound("only parts of this experiment are shared with you")
    return experiment


def person_get(*, user_id: UUID) -> User:
    """Return an active user as the database has them now; raises NotFound."""
    user = User.objects.filter(id=user_id, is_active=True).first()
    if user is None:
        raise NotFound("there is no such user")
    return user


def description_get(*, user: User, experiment_id: UUID) -> Description:
    """Return the description of the experiment's next workflow; the type's defaults if none is saved."""
    experiment = whole_experiment(user=user, experiment_id=experiment_id)
    saved = SavedDescription.objects.filter(experiment=experiment).first()
    if saved is not None:
        return Description.model_validate(saved.body)
    return description_default(experiment.workflow_type)


def workflows_list(*, user: User, experiment_id: UUID) -> QuerySet[Workflow]:
    """Return an experiment's workflows, newest first."""
    experiment = whole_experiment(user=user, experiment_id=experiment_id)
    found = Workflow.objects.filter(experiment=experiment).defer("description")
    return found.select_related("submitted_by").order_by("-number", "id")


def workflow_get(
    *, user: User, experiment_id: UUID, workflow_id: UUID, level: str = "view"
) -> Workflow:
    """Return one workflow; raises NotFound, or PermissionDenied if the level is missing."""
    experiment = whole_experiment(user=user, experiment_id=experiment_id, level=level)
    found = Workflow.objects.filter(experiment=experiment, id=workflow_id)
    workflow = found.select_related("experiment", "submitted_by").first()
    if workflow is None:
        raise NotFound("there is no such workflow")
    return workflow


def workflow_detail(*, user: User, experiment_id: UUID, workflow_id: UUID) -> dict[str, Any]:
    """Return a workflow with its stages, steps, counts of jobs and progress."""
    workflow = workflow_get(user=user, experiment_id=experiment_id, workflow_id=workflow_id)
    return workflow_describe(workflow)


def workflow_describe(workflow: Workflow) -> dict[str, Any]:
    """Return the answer of the API for a workflow that may be seen."""
    steps = list(StepRun.objects.filter(workflow=workflow).order_by("index"))
    tallies = tallies_of(parents=[step.id for step in steps])
    running = _running(steps)
    by_stage: dict[UUID, list[dict[str, Any]]] = {}
    for step in steps:
        counts = counts_of(tallies.get(step.id))
        described = _step(step, counts, running.get(step.id, 0.0))
        by_stage.setdefault(step.stage_run_id, []).append(described)
    return {
        "id": workflow.id,
        "number": workflow.number,
        "type": workflow.description["type"],
        "state": workflow.state,
        "submitted_by": workflow.submitted_by.username if workflow.submitted_by else None,
        "submitted_at": workflow.created_at,
        "started_at": workflow.started_at,
        "ended_at": workflow.ended_at,
        "stages": [
            {"name": stage.name, "state": stage.state, "steps": by_stage.get(stage.id, [])}
            for stage in workflow.stages.order_by("index")
        ],
    }


def _running(steps: list[StepRun]) -> dict[UUID, float]:
    """Return the sum of the fractions of the running jobs of the steps that run."""
    alive = [step.id for step in steps if step.state == "running"]
    jobs = dict(
        Job.objects.filter(parent__in=alive, state="running").values_list("id", "parent")[:1000]
    )
    sums: dict[UUID, float] = {}
    for job, (fraction, _message) in progress_read(list(jobs)).items():
        sums[jobs[job]] = sums.get(jobs[job], 0.0) + fraction
    return sums


def _step(step: StepRun, counts: dict[str, int], running: float) -> dict[str, Any]:
    total = sum(counts.values())
    done = counts["succeeded"] + counts["reused"] + running
    progress = round(min(done / total, 1.0), 3) if total else 0.0
    return {
        "id": step.id,
        "name": step.name,
        "active": step.active,
        "state": step.state,
        "phase": step.phase or None,
        "round": step.round,
        "counts": counts,
        "progress": 1.0 if step.state in ("succeeded", "reused") else progress,
        "arguments": step.arguments,
        "backend": step.backend,
        "key": step.key,
        "bytes_to_write": step.bytes_to_write,
        "error": step.error,
        "problems": step.problems[:100],
        "n_problems": step.n_problems,
        "started_at": step.started_at,
        "ended_at": step.ended_at,
    }


def jobs_list(
    *,
    user: User,
    experiment_id: UUID,
    workflow_id: UUID,
    step: str | None = None,
    state: str | None = None,
) -> QuerySet[Job]:
    """Return a workflow's jobs, newest first; `step` is a step run's id or a step's name."""
    workflow = workflow_get(user=user, experiment_id=experiment_id, workflow_id=workflow_id)
    steps = [
        row.id
        for row in StepRun.objects.filter(workflow=workflow).only("id", "name")
        if step is None or step in (str(row.id), row.name)
    ]
    found = Job.objects.filter(parent__in=steps).defer("batch", "output")
    if state is not None:
        found = found.filter(state=state)
    return found.order_by("-created_at", "id")


def job_get(*, user: User, experiment_id: UUID, job_id: UUID) -> Job:
    """Return one job of an experiment; raises NotFound."""
    whole_experiment(user=user, experiment_id=experiment_id)
    job = job_find(scope=experiment_id, job_id=job_id)
    if job is None:
        raise NotFound("there is no such job")
    return job


def job_log(*, user: User, experiment_id: UUID, job_id: UUID, after: int) -> dict[str, Any]:
    """Return a job's log from a byte on."""
    job = job_get(user=user, experiment_id=experiment_id, job_id=job_id)
    return log_read(job=job, after=after)


def event_list(*, user: User, experiment_id: UUID, after: int) -> tuple[list[Event], int]:
    """Return at most 1000 events after a number, and the number of the newest there is.

    Who sees only parts of the experiment gets those of `PART_KINDS`.
    """
    kinds = None if sees_whole(user=user, experiment_id=experiment_id) else PART_KINDS
    newest = sequence_of(scope=experiment_id)
    return events_after(scope=experiment_id, after=after, limit=EVENTS, kinds=kinds), newest

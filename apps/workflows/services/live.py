"""What watchers of an experiment are told of its workflows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from apps.jobs.models import Job, Tally
from apps.jobs.selectors import counts_of, tallies_of
from apps.jobs.services import events_publish
from apps.workflows.models import StepRun, Workflow

Event = tuple[str, dict[str, Any]]
TOLD = 20


def workflow_event(workflow: Workflow) -> Event:
    """Return the event of a workflow's state."""
    payload = {"workflow": str(workflow.id), "number": workflow.number, "state": workflow.state}
    return "workflow.state", payload


def step_event(step: StepRun, tally: Tally | None) -> Event:
    """Return the event of a step's state, phase and counts."""
    return "step.state", {
        "workflow": str(step.workflow_id),
        "step": str(step.id),
        "name": step.name,
        "stage": step.stage_run.name,
        "stage_state": step.stage_run.state,
        "state": step.state,
        "phase": step.phase or None,
        "round": step.round,
        "counts": counts_of(tally),
    }


def job_events(jobs: Iterable[Job]) -> list[Event]:
    """Return the events of the first jobs that failed or were killed; the rest are in the counts."""
    told = [job for job in jobs if job.state in ("failed", "killed")][:TOLD]
    return [
        ("job.state", {"job": str(j.id), "step": str(j.parent), "state": j.state}) for j in told
    ]


def steps_tell(workflow: Workflow, steps: Iterable[StepRun], *more: Event) -> None:
    """Publish a workflow's state with those of its steps."""
    steps = list(steps)
    tallies = tallies_of(parents=[step.id for step in steps])
    events = [*more, *(step_event(s, tallies.get(s.id)) for s in steps), workflow_event(workflow)]
    events_publish(scope=workflow.experiment_id, events=events)


def counts_tell(scope: UUID, tallies: list[Tally]) -> None:
    """Publish counts that moved; called at most 5 times a second per experiment."""
    by_parent = {tally.parent: tally for tally in tallies}
    steps = StepRun.objects.filter(id__in=by_parent).select_related("stage_run")
    events = [step_event(step, by_parent[step.id]) for step in steps]
    events_publish(scope=scope, events=events)

"""Carries out what the graph decides: makes jobs, takes their results, makes products current."""

from __future__ import annotations

import logging
import shutil
from collections import defaultdict
from pathlib import Path
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from apps.core.errors import ApplicationError, Invalid
from apps.experiments.selectors import current_inputs, experiment_description, experiment_root
from apps.experiments.services import products_apply
from apps.jobs.models import Job, Tally
from apps.jobs.selectors import tallies_of
from apps.jobs.services import NewJob, jobs_submit
from apps.jobs.services.handlers import Ended
from apps.jobs.services.queue import workers_live
from apps.workflows import graph
from apps.workflows.errors import WorkflowErrorCode
from apps.workflows.graph import Begin, Outcome, Phase, Shape, State
from apps.workflows.models import StageRun, StepPlan, StepRun, Workflow
from apps.workflows.selectors.types import workflow_type
from apps.workflows.services.live import Event, job_events, steps_tell
from gpu_workers import registry
from gpu_workers.errors import TissueMapsError
from gpu_workers.messages import JobResult, Limits, Plan
from gpu_workers.storage.paths import content_key

logger = logging.getLogger(__name__)

PROBLEMS = 1000


class Run:
    """A workflow's rows, locked: changed by transitions, saved once."""

    def __init__(self, workflow: Workflow):
        self.workflow = workflow
        found = StepRun.objects.select_for_update(of=("self",)).filter(workflow=workflow)
        self.steps = list(found.select_related("stage_run").order_by("index"))
        stages = {step.stage_run_id: step.stage_run for step in self.steps}
        for step in self.steps:
            step.stage_run = stages[step.stage_run_id]
        self.stages: list[StageRun] = list(stages.values())
        self._changed: set[int] = set()
        self._told: set[int] = set()
        self._events: list[Event] = []

    def states(self) -> graph.Steps:
        """Return the steps as the graph sees them."""
        return tuple(self._state(step) for step in self.steps)

    def _state(self, step: StepRun) -> graph.Step:
        phase = Phase(step.phase) if step.phase else None
        return graph.Step(State(step.state), phase, step.round, tuple(step.rounds), step.collect)

    def go(self, transition: graph.Transition) -> None:
        """Take new states over and carry the commands out, until jobs are under way or all is done.

        Jobs that are all reused end their phase at once; an error of a user or of the application
        while jobs are made or products applied fails the step.
        """
        while True:
            self._take(transition.steps)
            step_index = 0
            try:
                for command in transition.commands:
                    step_index = command.step
                    with transaction.atomic():
                        if isinstance(command, Begin):
                            self._begin(self.steps[command.step], command)
                        else:
                            self._finish(self.steps[command.step])
            except (ApplicationError, TissueMapsError) as error:
                step = self.steps[step_index]
                step.error = {"code": error.code, "message": error.message, "user": True}
                transition = graph.step_failed(self.states(), step_index)
                continue
            ended = self._at_end(transition.commands)
            if ended is None:
                return
            transition = ended

    def _take(self, states: graph.Steps) -> None:
        now = timezone.now()
        for index, (step, state) in enumerate(zip(self.steps, states, strict=True)):
            phase = state.phase.value if state.phase else ""
            if (step.state, step.phase, step.round) == (state.state, phase, state.round):
                continue
            self._changed.add(index)
            self._told.add(index)
            step.state, step.phase, step.round = state.state, phase, state.round
            if state.state == State.RUNNING:
                step.started_at = step.started_at or now
            elif state.state in graph.FINAL:
                step.ended_at = now
            elif state.state == State.WAITING:
                step.started_at = None

    def _at_end(self, commands: tuple[graph.Command, ...]) -> graph.Transition | None:
        """Return how to go on when the jobs that were just made are all at their end already."""
        begun = [command for command in commands if isinstance(command, Begin)]
        if not begun:
            return None
        tally = tallies_of(parents=[self.steps[begun[-1].step].id]).get(
            self.steps[begun[-1].step].id
        )
        if tally is None or _unfinished(tally):
            return None
        return graph.phase_ended(self.states(), begun[-1].step, Outcome.SUCCEEDED)

    def _begin(self, step: StepRun, begin: Begin) -> None:
        if begin.phase == Phase.PLAN:
            self._prepare(step)
        experiment = experiment_description(
            experiment_id=self.workflow.experiment_id,
            corrected=registry.load("steps", step.name).is_corrected,
        )
        limits = Limits.model_validate(step.limits) if step.limits else Limits()
        batches: list[Any] = [{}]
        if begin.phase == Phase.RUN:
            batches = step.plan.rounds[begin.round]
        jobs = [
            NewJob(
                kind=begin.phase.value,
                name=step.name,
                experiment=experiment,
                queue=step.backend,
                backend="gpu" if step.backend == "gpu" else "cpu",
                key=step.key,
                arguments=step.arguments,
                inputs=step.inputs,
                round=begin.round,
                index=index,
                batch=batch,
                limits=limits,
                content_key=self._content_key(step, begin, batch),
            )
            for index, batch in enumerate(batches)
        ]
        made = jobs_submit(
            scope=self.workflow.experiment_id,
            group_id=self.workflow.experiment.group_id,
            parent=step.id,
            jobs=jobs,
            reuse=begin.phase != Phase.PLAN and self._is_there(step, begin),
        )
        for job in made:
            if job.state == "reused":
                step.products.update(job.products)
                if len(jobs) == 1:
                    step.output = job.output
                _problems_add(step, job.problems)

    def _content_key(self, step: StepRun, begin: Begin, batch: Any) -> str:
        if begin.phase == Phase.PLAN:
            return ""
        return content_key(step.name, step.key, begin.phase.value, begin.round, batch)

    def _is_there(self, step: StepRun, begin: Begin) -> bool:
        """Return whether what earlier jobs of this key wrote is still on the disk."""
        root = experiment_root(self.workflow.experiment_id)
        if not any(root.glob(f"*/{step.key}")):
            return False
        earlier = Job.objects.filter(
            scope=self.workflow.experiment_id,
            state="succeeded",
            content_key=self._content_key(step, begin, {}),
        ).first()
        return earlier is None or all((root / path).exists() for path in earlier.products.values())

    def _prepare(self, step: StepRun) -> None:
        """Fix inputs and back end of a step at the time it is planned."""
        place = workflow_type(self.workflow.description["type"]).step(step.name)
        entry = registry.load("steps", step.name)
        available = current_inputs(experiment_id=self.workflow.experiment_id)
        for earlier in self.steps[: step.index]:
            available.update(earlier.products)
        wanted = {*entry.requires, *(place.uses if place else ())}
        # Object types and derived channels are named as objects/<type> and derived/<channel>.
        step.inputs = {n: path for n, path in available.items() if n.partition("/")[0] in wanted}
        missing = [name for name in entry.requires if name not in step.inputs]
        if missing:
            raise Invalid(
                f"{entry.title} needs {', '.join(missing)}, which no earlier step has made",
                code=WorkflowErrorCode.MISSING_INPUT,
            )
        backends = getattr(entry, "backends", ("cpu",))
        gpu = "gpu" in backends and any("gpu" in worker.slots for worker in workers_live())
        step.backend = "gpu" if gpu or "cpu" not in backends else "cpu"

    def _finish(self, step: StepRun) -> None:
        products_apply(
            experiment_id=self.workflow.experiment_id,
            step=step.name,
            products=step.products,
            output=step.output,
        )
        ready = {"mosaic": "mosaic.ready", "derived": "mosaic.ready", "objects": "objects.ready"}
        for product, kind in ready.items():
            if product in step.products:
                self._events.append((kind, {"step": str(step.id), "path": step.products[product]}))

    def planned(self, step: StepRun, plan: Plan) -> Shape:
        """Keep what a plan job answered; raises Invalid when there is no room for what it writes."""
        step.key, step.bytes_to_write = plan.key, plan.bytes_to_write
        _check_space(experiment_root(self.workflow.experiment_id), step)
        rounds = [list(batches) for batches in plan.rounds]
        step.rounds, step.collect = [len(batches) for batches in rounds], plan.collect
        row, _ = StepPlan.objects.update_or_create(step_run=step, defaults={"rounds": rounds})
        step.plan = row
        return Shape(tuple(step.rounds), plan.collect)

    def note(self, index: int, *events: Event) -> None:
        """Mark a step as changed; its counts reach watchers in their own time, events at once."""
        self._changed.add(index)
        self._events.extend(events)

    def save(self) -> None:
        """Write all rows that changed and publish what watchers should know."""
        now = timezone.now()
        for stage in self.stages:
            parts = [step.state for step in self.steps if step.stage_run_id == stage.id]
            stage.state = graph.combined(State(state) for state in parts)
        StageRun.objects.bulk_update(self.stages, ["state"])
        changed = [self.steps[index] for index in sorted(self._changed)]
        for step in changed:
            step.save()
        workflow, before = self.workflow, self.workflow.state
        workflow.state = graph.workflow_state(self.states())
        workflow.started_at = workflow.started_at or now
        if workflow.state in graph.FINAL:
            workflow.ended_at = now
        workflow.save(update_fields=["state", "started_at", "ended_at", "updated_at"])
        if self._told or self._events or before != workflow.state:
            steps_tell(workflow, [self.steps[i] for i in sorted(self._told)], *self._events)
        self._changed, self._told, self._events = set(), set(), []


def _unfinished(tally: Tally) -> int:
    return tally.waiting + tally.queued + tally.running


def _problems_add(step: StepRun, problems: list[dict[str, Any]]) -> None:
    step.n_problems += len(problems)
    step.problems = [*step.problems, *problems][:PROBLEMS]


def _check_space(root: Path, step: StepRun) -> None:
    folder = next(path for path in (root, *root.parents) if path.exists())
    free = shutil.disk_usage(folder).free
    if step.bytes_to_write > free:
        raise Invalid(
            f"{step.name} would write {step.bytes_to_write / 1e9:.1f} GB, "
            f"but only {free / 1e9:.1f} GB are free",
            code=WorkflowErrorCode.NO_SPACE,
        )


def jobs_ended(ended: list[Ended]) -> None:
    """Take in jobs of steps that ended; called in the intake's transaction, scopes are locked."""
    by_step: dict[UUID, list[Ended]] = defaultdict(list)
    for job, result in ended:
        by_step[job.parent].append((job, result))
    owners = dict(StepRun.objects.filter(id__in=by_step).values_list("id", "workflow_id"))
    by_workflow: dict[UUID, list[UUID]] = defaultdict(list)
    for step_id, workflow_id in owners.items():
        by_workflow[workflow_id].append(step_id)
    locked = Workflow.objects.select_for_update(of=("self",)).filter(id__in=by_workflow)
    for workflow in locked.select_related("experiment").order_by("id"):
        run = Run(workflow)
        for index, step in enumerate(run.steps):
            if step.id in by_step and step.state == State.RUNNING:
                _step_jobs_ended(run, index, by_step[step.id])
        run.save()


def _step_jobs_ended(run: Run, index: int, ended: list[Ended]) -> None:
    step, plan = run.steps[index], None
    for _job, result in ended:
        plan = result.plan or plan
        _take_result(step, result)
    events = job_events(job for job, _ in ended)
    run.note(index, *events)
    tally = tallies_of(parents=[step.id]).get(step.id)
    if tally is None or _unfinished(tally):
        return
    shape = None
    try:
        shape = run.planned(step, plan) if plan is not None else None
    except ApplicationError as error:
        step.error = {"code": error.code, "message": error.message, "user": True}
    outcome = Outcome.SUCCEEDED
    if tally.killed:
        outcome = Outcome.KILLED
    elif tally.failed:
        outcome = Outcome.FAILED
    run.go(graph.phase_ended(run.states(), index, outcome, shape))


def _take_result(step: StepRun, result: JobResult) -> None:
    _problems_add(step, [problem.model_dump(mode="json") for problem in result.problems])
    if result.error is not None and result.state == "failed":
        step.error = step.error or result.error.model_dump(mode="json")
    if result.state == "succeeded":
        step.products.update(result.products)
        if step.phase == Phase.COLLECT or (step.rounds[step.round : step.round + 1] == [1]):
            step.output = result.output

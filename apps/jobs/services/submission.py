"""Making and killing jobs."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal
from uuid import UUID, uuid4

import redis
from django.db import transaction
from django.utils import timezone

from apps.jobs.errors import JobErrorCode
from apps.jobs.models import Attempt, AttemptState, Job, JobState, SpecTemplate
from apps.jobs.services.events import scopes_lock
from apps.jobs.services.tallies import Moves
from gpu_workers import broker
from gpu_workers.messages import ExperimentDescription, Json, Limits

logger = logging.getLogger(__name__)

CHUNK = 2000
ALIVE = (JobState.WAITING, JobState.QUEUED, JobState.RUNNING)


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job to be made. Jobs that share the same argument objects share one spec template.

    `content_key` names what the job makes; a succeeded job of the scope with the same key is
    reused instead of running again. Empty: always run.
    """

    kind: Literal["plan", "run", "collect", "tool", "inspect", "preview", "segment"]
    name: str
    experiment: ExperimentDescription
    queue: str = "cpu"
    key: str = ""
    backend: Literal["cpu", "gpu"] = "cpu"
    arguments: Json = field(default_factory=dict)
    inputs: dict[str, str] = field(default_factory=dict)
    round: int = 0
    index: int = 0
    batch: Json = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    content_key: str = ""
    priority: int = 0
    max_attempts: int = 3


class _Templates:
    """Makes one template row for all jobs that were given the same objects."""

    def __init__(self, scope: UUID):
        self._scope = scope
        self._rows: dict[tuple[Any, ...], SpecTemplate] = {}

    def of(self, job: NewJob) -> SpecTemplate:
        key = (
            id(job.experiment), id(job.arguments), id(job.inputs), job.limits,
            job.kind, job.name, job.key, job.backend,
        )  # fmt: skip
        if key not in self._rows:
            body = {
                "version": 1,
                "kind": job.kind,
                "name": job.name,
                "experiment": job.experiment.model_dump(mode="json"),
                "key": job.key,
                "backend": job.backend,
                "arguments": job.arguments,
                "inputs": job.inputs,
                "limits": job.limits.model_dump(mode="json"),
            }
            self._rows[key] = SpecTemplate(scope=self._scope, body=body)
        return self._rows[key]

    def save(self) -> None:
        SpecTemplate.objects.bulk_create(self._rows.values())


def _reusable(scope: UUID, keys: Sequence[str]) -> dict[str, Job]:
    found: dict[str, Job] = {}
    for start in range(0, len(keys), CHUNK):
        rows = Job.objects.filter(
            scope=scope, state=JobState.SUCCEEDED, content_key__in=keys[start : start + CHUNK]
        ).only("content_key", "output", "products", "problems")
        found.update((row.content_key, row) for row in rows)
    return found


@transaction.atomic
def jobs_submit(
    *, scope: UUID, group_id: UUID | None, parent: UUID, jobs: list[NewJob], reuse: bool = True
) -> list[Job]:
    """Write jobs into the ledger and wake control; returns them in their order.

    A job whose content key a succeeded job of the scope has already is `reused`: it is at its end
    at once, with that job's output and products. Handlers are not called for reused jobs: the
    caller sees their state in what is returned.
    """
    templates = _Templates(scope)
    now, position = timezone.now(), time.time_ns()
    wanted = [job.content_key for job in jobs if job.content_key] if reuse else []
    earlier = _reusable(scope, wanted) if wanted else {}
    moves, rows = Moves(), []
    for i, job in enumerate(jobs):
        row = Job(
            id=uuid4(), scope=scope, group=group_id, kind=job.kind, name=job.name, queue=job.queue,
            backend=job.backend, round=job.round, index=job.index, template=templates.of(job),
            batch=job.batch, content_key=job.content_key, parent=parent, priority=job.priority,
            position=position + i, max_attempts=job.max_attempts,
        )  # fmt: skip
        if job.content_key in earlier:
            _reuse(row, earlier[job.content_key], now)
        moves.add(row, row.state)
        rows.append(row)
    templates.save()
    Job.objects.bulk_create(rows, batch_size=CHUNK)
    moves.apply()
    transaction.on_commit(broker.wake_control)
    return rows


def _reuse(row: Job, earlier: Job, now: datetime) -> None:
    row.state = JobState.REUSED
    row.output, row.products = earlier.output, earlier.products
    row.problems = earlier.problems
    row.ended_at = now


@transaction.atomic
def jobs_kill(
    *,
    parent: UUID | None = None,
    job_ids: Iterable[UUID] | None = None,
    scope: UUID | None = None,
) -> list[Job]:
    """End all unfinished jobs of a parent or scope, or those named; returns those that it ended.

    Workers that are at one of them drop it within half a second; what they still report is refused.
    Handlers are not called: who kills knows. Killing twice does nothing the second time.
    """
    found = Job.objects.filter(state__in=ALIVE)
    if job_ids is not None:
        found = found.filter(id__in=list(job_ids))
    elif scope is not None:
        found = found.filter(scope=scope)
    else:
        found = found.filter(parent__in=[parent] if parent is not None else [])
    scopes_lock(found.values_list("scope", flat=True).distinct())
    jobs = list(found.select_for_update().order_by("id").defer("batch"))
    moves, now = Moves(), timezone.now()
    running = [(job.id, job.attempts_made) for job in jobs if job.state != JobState.WAITING]
    for job in jobs:
        moves.add(job, JobState.KILLED, job.state)
        job.state, job.ended_at = JobState.KILLED, now
        job.error = {"code": JobErrorCode.KILLED, "message": "killed on request", "user": True}
    for start in range(0, len(jobs), CHUNK):
        ids = [job.id for job in jobs[start : start + CHUNK]]
        Job.objects.filter(id__in=ids).update(
            state=JobState.KILLED, ended_at=now, updated_at=now, error=jobs[start].error
        )
    Attempt.objects.filter(
        job_id__in=[i for i, _ in running], state__in=(AttemptState.SENT, AttemptState.CLAIMED)
    ).update(state=AttemptState.KILLED, ended_at=now, updated_at=now)
    moves.apply()
    transaction.on_commit(lambda: attempts_cancel(running))
    return jobs


def attempts_cancel(attempts: Iterable[tuple[UUID, int]], why: str = "killed") -> None:
    """Tell workers to drop attempts; without Valkey they run on, and what they report is refused."""
    try:
        with broker.client().pipeline(transaction=False) as pipe:
            for job, attempt in attempts:
                pipe.set(broker.cancel_key(job, attempt), why, ex=broker.CLAIM_TTL_S)
            pipe.execute()
    except redis.RedisError:
        logger.warning("cancelled attempts could not be announced", exc_info=True)

"""Takes the workers' reports into the ledger, up to 500 in a transaction.

Reports are removed from the stream after the commit, so a control process that dies in between
makes the next one read them again: attempt numbers and states make the second time a no-op.
"""

from __future__ import annotations

import hmac
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from django.conf import settings
from django.db import InterfaceError, OperationalError, transaction
from django.utils import timezone
from pydantic import ValidationError

from apps.jobs.errors import JobErrorCode
from apps.jobs.models import Attempt, AttemptState, Job, JobState
from apps.jobs.services import handlers
from apps.jobs.services.events import scopes_lock
from apps.jobs.services.queue import Report, reports_forget, reports_read
from apps.jobs.services.rows import rows_update
from apps.jobs.services.settle import (
    ATTEMPT_FIELDS,
    JOB_FIELDS,
    End,
    attempt_end,
    failed_result,
    outcome_of,
)
from apps.jobs.services.tallies import Moves
from apps.jobs.services.turns import turn_take
from gpu_workers import broker
from gpu_workers.messages import JobResult
from gpu_workers.storage import paths

logger = logging.getLogger(__name__)

BATCH = 500
OPEN = (AttemptState.SENT, AttemptState.CLAIMED)
# The database's trouble, no report's: nothing was written, so that the reports must stay.
UNAVAILABLE = (OperationalError, InterfaceError)


@dataclass(slots=True)
class _Batch:
    """The rows that a transaction changes."""

    jobs: dict[UUID, Job]
    attempts: dict[tuple[UUID, int], Attempt]
    moves: Moves = field(default_factory=Moves)
    touched: dict[UUID, Job] = field(default_factory=dict)
    changed: dict[UUID, Attempt] = field(default_factory=dict)
    started: list[Job] = field(default_factory=list)
    ended: list[handlers.Ended] = field(default_factory=list)

    def current(self, job: UUID, number: int) -> tuple[Job, Attempt] | None:
        """Return the rows of an attempt that may still change its job, else None."""
        row, attempt = self.jobs.get(job), self.attempts.get((job, number))
        if row is None or attempt is None or row.attempts_made != number:
            return None
        return (row, attempt) if attempt.state in OPEN else None

    def end(self, job: Job, attempt: Attempt, end: End) -> None:
        if attempt_end(job, attempt, end, self.moves):
            self.ended.append((job, end.result))
        self.touched[job.id], self.changed[attempt.id] = job, attempt

    def save(self) -> None:
        rows_update(self.touched.values(), JOB_FIELDS)
        rows_update(self.changed.values(), ATTEMPT_FIELDS)
        self.moves.apply()
        handlers.started(self.started)
        handlers.ended(self.ended)


def batch_open(attempts: list[tuple[UUID, int]]) -> _Batch:
    """Lock scopes, then jobs by id, of attempts; returns their rows."""
    ids = {job for job, _ in attempts}
    scopes_lock(Job.objects.filter(id__in=ids).values_list("scope", flat=True).distinct())
    jobs = Job.objects.select_for_update(of=("self",)).filter(id__in=ids).order_by("id")
    rows = Attempt.objects.filter(job_id__in=ids, number__in={n for _, n in attempts})
    return _Batch({j.id: j for j in jobs}, {(a.job_id, a.number): a for a in rows})


def reports_take(note: Callable[[str, float], None] | None = None) -> int | None:
    """Take one batch of reports in; returns how many, None when another process has the turn."""
    with transaction.atomic():
        if not turn_take():
            return None
        reports = reports_read(BATCH)
        if not reports:
            return 0
        try:
            with transaction.atomic():
                batch = _apply(reports)
        except UNAVAILABLE:
            raise
        except Exception:
            logger.exception("%d reports could not be taken in at once", len(reports))
            for report in reports:
                _apply_alone(report)
            batch = None
    reports_forget([report.entry for report in reports])
    if batch is not None and note is not None:
        for job, result in batch.ended:
            note(job.queue, (result.ended_at - result.started_at).total_seconds())
    return len(reports)


def _apply(reports: list[Report]) -> _Batch:
    batch = batch_open([(r.job, r.attempt) for r in reports])
    for report in reports:
        found = batch.current(report.job, report.attempt)
        if found is None:
            logger.info("a late report of job %s was refused", report.job)
        elif not _signed(report, found[1]):
            logger.warning("a report of job %s with a wrong signature was refused", report.job)
        elif report.kind == "claimed":
            _claimed(batch, *found, report)
        elif report.kind == "ended":
            result = _result(report, *found)
            batch.end(*found, End(outcome_of(result), result))
    batch.save()
    return batch


def _signed(report: Report, attempt: Attempt) -> bool:
    expected = broker.sign(
        attempt.secret, report.job, report.attempt, report.sequence, report.kind, report.payload
    )
    return hmac.compare_digest(expected, report.signature)


def _claimed(batch: _Batch, job: Job, attempt: Attempt, report: Report) -> None:
    if attempt.state != AttemptState.SENT:
        return
    now = timezone.now()
    worker = str(json.loads(report.payload).get("worker", ""))[:100]
    attempt.state, attempt.claimed_at, attempt.updated_at = AttemptState.CLAIMED, now, now
    attempt.worker = job.worker = worker
    if job.state == JobState.QUEUED:
        batch.moves.add(job, JobState.RUNNING, job.state)
        job.state, job.updated_at = JobState.RUNNING, now
        job.started_at = job.started_at or now
        batch.started.append(job)
    batch.touched[job.id], batch.changed[attempt.id] = job, attempt


def _result(report: Report, job: Job, attempt: Attempt) -> JobResult:
    """Return the result that a report carries or that lies in the attempt's folder."""
    try:
        payload = json.loads(report.payload)
        if payload.get("file"):
            root = paths.experiment_root(Path(settings.TISSUEMAPS_DATA), job.scope)
            folder = paths.attempt_folder(job.id, attempt.number)
            payload = paths.read_json(root / folder / "result.json")
        result = JobResult.model_validate(payload)
    except (OSError, ValueError, AttributeError, ValidationError) as error:
        logger.warning("the result of job %s cannot be read: %s", job.id, error)
        return failed_result(attempt, JobErrorCode.BAD_RESULT, "the worker's result is unreadable")
    if (result.job, result.attempt) != (job.id, attempt.number) or not _within(result.products):
        return failed_result(
            attempt, JobErrorCode.BAD_RESULT, "the worker's result is of another job"
        )
    return result


def _within(products: dict[str, str]) -> bool:
    return all(not p.startswith("/") and ".." not in p.split("/") for p in products.values())


def _apply_alone(report: Report) -> None:
    """Take one report in; a handler that fails for it fails the job, not the whole platform."""
    try:
        with transaction.atomic():
            _apply([report])
    except UNAVAILABLE:
        raise
    except Exception as error:
        logger.exception("the end of job %s could not be applied", report.job)
        try:
            with transaction.atomic():
                _fail(report, error)
        except UNAVAILABLE:
            raise
        except Exception:
            logger.exception("job %s could not even be failed", report.job)


def _fail(report: Report, error: Exception) -> None:
    batch = batch_open([(report.job, report.attempt)])
    found = batch.current(report.job, report.attempt)
    if found is None or not _signed(report, found[1]):
        return
    message = f"the result could not be applied ({type(error).__name__}); see the server's log"
    result = failed_result(found[1], JobErrorCode.APPLY_FAILED, message, user=True)
    batch.end(*found, End("failed", result))
    batch.save()

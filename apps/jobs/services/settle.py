"""What an attempt's end does to its job; shared by reports, lost workers and failed handlers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils import timezone

from apps.jobs import graph
from apps.jobs.errors import JobErrorCode
from apps.jobs.models import Attempt, AttemptState, Job, JobState
from apps.jobs.services.tallies import Moves
from gpu_workers.messages import JobError, JobResult

JOB_FIELDS = [
    "state", "failures", "output", "products", "problems", "error", "started_at", "ended_at",
    "worker", "cpu_s", "peak_memory_mb", "position", "updated_at",
]  # fmt: skip
ATTEMPT_FIELDS = [
    "state", "worker", "claimed_at", "ended_at", "error", "cpu_s", "peak_memory_mb",
    "code_version", "updated_at",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class End:
    """How an attempt ended: the outcome the ledger counts, and the worker's result."""

    outcome: graph.Outcome
    result: JobResult


def failed_result(
    attempt: Attempt, code: str, message: str, *, user: bool = False, state: str = "failed"
) -> JobResult:
    """Return the result of an attempt whose worker could not write one."""
    now = timezone.now()
    return JobResult(
        job=attempt.job_id,
        attempt=attempt.number,
        state="killed" if state == "killed" else "failed",
        error=JobError(code=code, message=message, user=user),
        started_at=attempt.claimed_at or attempt.sent_at,
        ended_at=now,
    )


def outcome_of(result: JobResult) -> graph.Outcome:
    """Return what the ledger makes of a worker's result."""
    if result.error is not None and result.error.code == JobErrorCode.WORKER_STOPPED:
        return "released"
    return result.state


def attempt_end(job: Job, attempt: Attempt, end: End, moves: Moves) -> bool:
    """Write an attempt's end into the two rows (unsaved); True if the job is at its end."""
    now, result = timezone.now(), end.result
    error = result.error.model_dump(mode="json") if result.error else None
    attempt.state = AttemptState(end.outcome)
    attempt.ended_at = attempt.updated_at = now
    attempt.error = error
    attempt.cpu_s, attempt.peak_memory_mb = result.cpu_s, result.peak_memory_mb
    attempt.code_version = result.code_version[:60]
    trial = graph.Trial(
        outcome=end.outcome,
        user_error=bool(result.error and result.error.user),
        failures=job.failures,
        sends=job.attempts_made,
        max_attempts=job.max_attempts,
    )
    state, job.failures = graph.after_attempt(trial)
    job.cpu_s += result.cpu_s
    job.peak_memory_mb = max(job.peak_memory_mb, result.peak_memory_mb)
    job.error, job.updated_at = error, now
    if state == "again":
        moves.add(job, JobState.WAITING, job.state)
        # Before all that wait, in the order of the first submission.
        job.state, job.position = JobState.WAITING, job.position - 10**18
        if job.position < -(10**18):
            job.position += 10**18
        return False
    _final(job, result, JobState(state), now, moves)
    return True


def _final(job: Job, result: JobResult, state: JobState, now: datetime, moves: Moves) -> None:
    moves.add(job, state, job.state)
    job.state, job.ended_at = state, now
    job.output, job.products = result.output, result.products
    problems: list[dict[str, Any]] = [p.model_dump(mode="json") for p in result.problems]
    job.problems = problems

"""Reads of the ledger."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.conf import settings

from apps.accounts.models import ResearchGroup
from apps.jobs.models import Attempt, AttemptState, Event, Job, Scope, Tally
from gpu_workers.storage import paths

if TYPE_CHECKING:
    from django.db.models import QuerySet

LOG_BYTES = 256 * 1024


def group_limits() -> dict[UUID | None, int]:
    """Return how many jobs of each group with a quota may be under way at once."""
    return dict(ResearchGroup.objects.values_list("id", "quota_jobs"))


def jobs_of(*, parents: Iterable[UUID]) -> QuerySet[Job]:
    """Return the jobs of step runs or tool results; who asks has checked that they may be seen."""
    return Job.objects.filter(parent__in=list(parents)).defer("batch", "output")


def job_find(*, scope: UUID, job_id: UUID) -> Job | None:
    """Return a job of a scope, or None."""
    return Job.objects.filter(scope=scope, id=job_id).first()


def tallies_of(*, parents: Iterable[UUID]) -> dict[UUID, Tally]:
    """Return the counts of jobs per parent; parents without a job are missing."""
    return {tally.parent: tally for tally in Tally.objects.filter(parent__in=list(parents))}


def counts_of(tally: Tally | None) -> dict[str, int]:
    """Return a tally as state -> number."""
    names = ("waiting", "queued", "running", "succeeded", "failed", "killed", "reused")
    return {name: getattr(tally, name) if tally else 0 for name in names}


def attempts_claimed() -> list[tuple[UUID, int]]:
    """Return job and number of every attempt that a worker has claimed."""
    return list(Attempt.objects.filter(state=AttemptState.CLAIMED).values_list("job_id", "number"))


def events_after(
    *, scope: UUID, after: int, limit: int, kinds: Collection[str] | None = None
) -> list[Event]:
    """Return the events of a scope after a number, oldest first; only some kinds if they are named."""
    found = Event.objects.filter(scope_id=scope, sequence__gt=after).order_by("sequence")
    return list((found if kinds is None else found.filter(kind__in=kinds))[:limit])


def sequence_of(*, scope: UUID) -> int:
    """Return the number of the newest event of a scope; 0 before the first."""
    return Scope.objects.filter(id=scope).values_list("sequence", flat=True).first() or 0


def log_read(*, job: Job, after: int, limit: int = LOG_BYTES) -> dict[str, Any]:
    """Return the log of a job's newest attempt from a byte on: text, next byte, whether complete.

    A character that is cut at the end is left for the next call.
    """
    root = paths.experiment_root(Path(settings.TISSUEMAPS_DATA), job.scope)
    path = root / paths.attempt_folder(job.id, max(job.attempts_made, 1)) / "log.txt"
    ended = job.ended_at is not None
    try:
        with path.open("rb") as stream:
            stream.seek(0, 2)
            size = stream.tell()
            stream.seek(min(after, size))
            data = stream.read(limit)
    except (FileNotFoundError, NotADirectoryError):
        return {"text": "", "next": 0, "complete": ended}
    start = min(after, size)
    at_end = start + len(data) >= size
    keep = len(data) if ended and at_end else _whole_characters(data)
    text = data[:keep].decode("utf-8", errors="replace")
    return {"text": text, "next": start + keep, "complete": ended and start + keep >= size}


def _whole_characters(data: bytes) -> int:
    for back in range(1, min(4, len(data)) + 1):
        byte = data[-back]
        if byte < 0x80:
            break
        if byte >= 0xC0:
            needed = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return len(data) if back >= needed else len(data) - back
    return len(data)

"""The control loop's one turn: take reports in, find lost attempts, send jobs, tell watchers."""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from uuid import UUID

from django.utils import timezone

from apps.core import realtime
from apps.jobs.models import Attempt, AttemptState, Event, Job, JobState, Worker
from apps.jobs.selectors import attempts_claimed, counts_of, tallies_of
from apps.jobs.services import handlers, tallies
from apps.jobs.services.dispatch import Dispatcher
from apps.jobs.services.intake import BATCH, reports_take
from apps.jobs.services.leases import messages_lost, workers_lost
from apps.jobs.services.queue import (
    LiveWorker,
    leases_missing,
    progress_read,
    reports_wait,
    streams_start,
    workers_live,
)

logger = logging.getLogger(__name__)

LEASES_S = 1.0
COUNTS_S = 0.2
PROGRESS_S = 0.5
WORKERS_S = 10.0
CLEAN_S = 3600.0
EVENTS_KEPT = timedelta(days=7)


class Control:
    """State of one control process; everything in it may be lost without harm."""

    def __init__(self) -> None:
        tallies.watch()
        self._dispatcher = Dispatcher()
        self._due: dict[str, float] = defaultdict(float)
        self._moved: dict[UUID, set[UUID]] = defaultdict(set)
        self._published: dict[UUID, float] = {}
        self._progress: dict[UUID, tuple[float, str]] = {}
        self._streams = streams_start()

    def wait(self, timeout_s: float) -> None:
        """Sleep until something is reported or submitted, at most `timeout_s`."""
        self._streams = reports_wait(self._streams, timeout_s)

    def tick(self) -> int:
        """Do one turn; returns how many reports and jobs it moved."""
        missing: set[tuple[UUID, int]] = set()
        if self._is_due("leases", LEASES_S):
            # Leases are looked at before the reports: a worker that ends a job writes its report
            # and gives up the lease in one step, so what is missing now has reported by now.
            missing = leases_missing(attempts_claimed())
        moved = self._drain()
        if missing:
            moved += workers_lost(sorted(missing, key=str))
        workers = workers_live()
        if self._is_due("messages", LEASES_S):
            moved += messages_lost(lambda: workers)
        moved += self._dispatcher.run(workers)
        self._tell(workers)
        return moved

    def _is_due(self, what: str, every_s: float) -> bool:
        now = time.monotonic()
        if now < self._due[what]:
            return False
        self._due[what] = now + every_s
        return True

    def _drain(self) -> int:
        total = 0
        while taken := reports_take(self._dispatcher.note):
            total += taken
            if taken < BATCH:
                break
        return total

    def _tell(self, workers: list[LiveWorker]) -> None:
        self._tell_counts()
        if self._is_due("progress", PROGRESS_S):
            self._tell_progress()
        if self._is_due("workers", WORKERS_S):
            _workers_save(workers)
        if self._is_due("clean", CLEAN_S):
            Event.objects.filter(created_at__lt=timezone.now() - EVENTS_KEPT).delete()

    def _tell_counts(self) -> None:
        for scope, parent in tallies.moved_take():
            self._moved[scope].add(parent)
        now = time.monotonic()
        for scope in list(self._moved):
            if now - self._published.get(scope, 0.0) < COUNTS_S:
                continue
            self._published[scope] = now
            found = tallies_of(parents=self._moved.pop(scope))
            handlers.tallied(scope, list(found.values()))

    def _tell_progress(self) -> None:
        running = list(
            Job.objects.filter(state=JobState.RUNNING).values_list("id", "parent", "scope")
        )
        said = progress_read([job for job, _, _ in running])
        by_parent: dict[tuple[UUID, UUID], list[tuple[float, str]]] = defaultdict(list)
        for job, parent, scope in running:
            by_parent[scope, parent].append(said.get(job, (0.0, "")))
        counts = tallies_of(parents=[parent for _, parent in by_parent])
        for (scope, parent), parts in by_parent.items():
            numbers = counts_of(counts.get(parent))
            done = numbers["succeeded"] + numbers["reused"] + sum(f for f, _ in parts)
            fraction = round(min(done / max(sum(numbers.values()), 1), 1.0), 3)
            message = next((m for _, m in reversed(parts) if m), "")
            if self._progress.get(parent) == (fraction, message):
                continue
            self._progress[parent] = (fraction, message)
            text = {"type": "progress", "step": str(parent)}
            realtime.publish(scope, {**text, "fraction": fraction, "message": message})
        self._progress = {p: v for p, v in self._progress.items() if p in counts}


def _workers_save(workers: list[LiveWorker]) -> None:
    now = timezone.now()
    rows = [
        Worker(
            id=worker.id,
            host=worker.host,
            pid=worker.pid,
            slots=worker.slots,
            code_version=worker.code_version[:60],
            started_at=datetime.fromtimestamp(worker.started_at, UTC),
            seen_at=now,
        )
        for worker in workers
    ]
    Worker.objects.bulk_create(
        rows, update_conflicts=True, unique_fields=["id"], update_fields=["slots", "seen_at"]
    )
    Worker.objects.filter(seen_at__lt=now - timedelta(days=7)).delete()


def idle() -> bool:
    """Return whether no job is under way and none waits; for commands that stop when done."""
    alive = (JobState.WAITING, JobState.QUEUED, JobState.RUNNING)
    open_attempts = (AttemptState.SENT, AttemptState.CLAIMED)
    return not (
        Job.objects.filter(state__in=alive).exists()
        or Attempt.objects.filter(state__in=open_attempts).exists()
    )

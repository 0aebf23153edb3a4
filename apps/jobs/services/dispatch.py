"""Sends waiting jobs to the queue: no more than workers can take, in turn over groups."""

from __future__ import annotations

import logging
import secrets
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Count, F
from django.utils import timezone

from apps.jobs import graph
from apps.jobs.graph import Tenant
from apps.jobs.models import Attempt, Job, JobState
from apps.jobs.selectors import group_limits
from apps.jobs.services.queue import LiveWorker
from apps.jobs.services.tallies import Moves
from apps.jobs.services.turns import turn_take
from gpu_workers import broker
from gpu_workers.storage import paths

logger = logging.getLogger(__name__)

# A plain DISTINCT would read every waiting job at each tick; this hops from tenant to tenant.
_TENANTS = """
WITH RECURSIVE hop AS (
  (SELECT "group", scope FROM jobs_job WHERE state = 'waiting' AND queue = %(queue)s
     AND "group" IS NOT NULL ORDER BY "group", scope LIMIT 1)
  UNION ALL
  SELECT next."group", next.scope FROM hop, LATERAL (
    SELECT "group", scope FROM jobs_job WHERE state = 'waiting' AND queue = %(queue)s
      AND ("group", scope) > (hop."group", hop.scope) ORDER BY "group", scope LIMIT 1) AS next
)
SELECT "group", scope FROM hop
UNION ALL
SELECT DISTINCT "group", scope FROM jobs_job
  WHERE state = 'waiting' AND queue = %(queue)s AND "group" IS NULL
"""


@dataclass(frozen=True, slots=True)
class _Parcel:
    """One attempt that is in the database and now goes out."""

    job: UUID
    scope: UUID
    attempt: int
    message: str
    secret: str
    spec: dict[str, Any]


def tenants_waiting(queue: str) -> list[Tenant]:
    """Return who has waiting jobs in a queue."""
    with connection.cursor() as cursor:
        cursor.execute(_TENANTS, {"queue": queue})
        return [Tenant(*row) for row in cursor.fetchall()]


def _in_flight(queue: str) -> dict[Tenant, int]:
    rows = (
        Job.objects.filter(queue=queue, state__in=(JobState.QUEUED, JobState.RUNNING))
        .order_by()
        .values_list("group", "scope")
        .annotate(n=Count("id"))
    )
    return {Tenant(group, scope): n for group, scope, n in rows}


class Dispatcher:
    """Sends jobs; remembers only who was served when and how long jobs take, both expendable."""

    def __init__(self) -> None:
        self._served: dict[Tenant, float] = {}
        self._mean_s: dict[str, float] = {}

    def note(self, queue: str, seconds: float) -> None:
        """Remember how long a job of a queue took."""
        self._mean_s[queue] = 0.8 * self._mean_s.get(queue, seconds) + 0.2 * seconds

    def run(self, workers: list[LiveWorker]) -> int:
        """Send what may be sent to the queues that live workers serve; returns how many jobs."""
        slots: dict[str, list[int]] = defaultdict(list)
        for worker in workers:
            for queue, number in worker.slots.items():
                slots[queue].append(number)
        return sum(self._queue(queue, sum(n), len(n)) for queue, n in sorted(slots.items()))

    def _queue(self, queue: str, slots: int, workers: int) -> int:
        if not Job.objects.filter(queue=queue, state=JobState.WAITING).exists():
            return 0
        with transaction.atomic():
            if not turn_take():
                return 0
            flying = _in_flight(queue)
            room = graph.window(slots, workers, sum(flying.values()), self._mean_s.get(queue))
            if not room:
                return 0
            waiting = dict.fromkeys(tenants_waiting(queue), room)
            picks = graph.share(waiting, flying, self._served, room, group_limits())
            jobs = [job for tenant, n in picks.items() for job in _first(queue, tenant, n)]
            parcels = _address(jobs)
        now = time.monotonic()
        self._served.update(dict.fromkeys(picks, now))
        _send(queue, parcels)
        return len(parcels)


def _first(queue: str, tenant: Tenant, number: int) -> list[Job]:
    found = Job.objects.filter(queue=queue, state=JobState.WAITING, scope=tenant.scope)
    found = (
        found.filter(group__isnull=True)
        if tenant.group is None
        else found.filter(group=tenant.group)
    )
    ordered = found.order_by("-priority", "position").select_for_update(
        skip_locked=True, of=("self",)
    )
    return list(ordered.select_related("template")[:number])


def _address(jobs: list[Job]) -> list[_Parcel]:
    now, moves, attempts, parcels = timezone.now(), Moves(), [], []
    for job in jobs:
        moves.add(job, JobState.QUEUED, JobState.WAITING)
        job.state, job.queued_at, job.updated_at = JobState.QUEUED, now, now
        job.attempts_made += 1
        secret, message = secrets.token_hex(32), str(uuid4())
        attempts.append(
            Attempt(job=job, number=job.attempts_made, secret=secret, message=message, sent_at=now)
        )
        spec = {
            **job.template.body, "job": str(job.id), "attempt": job.attempts_made,
            "round": job.round, "index": job.index, "batch": job.batch,
        }  # fmt: skip
        parcels.append(_Parcel(job.id, job.scope, job.attempts_made, message, secret, spec))
    Job.objects.filter(id__in=[job.id for job in jobs]).update(
        state=JobState.QUEUED, queued_at=now, updated_at=now, attempts_made=F("attempts_made") + 1
    )
    Attempt.objects.bulk_create(attempts)
    moves.apply()
    return parcels


def _send(queue: str, parcels: list[_Parcel]) -> None:
    """Write the specs, then the messages; what is lost between, the lease check sends again."""
    messages: dict[str, dict[str, Any]] = {}
    for parcel in parcels:
        folder = paths.attempt_folder(parcel.job, parcel.attempt)
        root = paths.experiment_root(Path(settings.TISSUEMAPS_DATA), parcel.scope)
        try:
            paths.write_json(root / folder / "spec.json", parcel.spec)
        except OSError as error:
            # One experiment's folder or a full disk: the others' jobs go out all the same.
            logger.error("the spec of job %s cannot be written: %s", parcel.job, error)
            continue
        messages[parcel.message] = {
            "experiment": str(parcel.scope),
            "job": str(parcel.job),
            "attempt": parcel.attempt,
            "spec_path": f"{folder}/spec.json",
            "secret": parcel.secret,
        }
    broker.send(queue, messages)

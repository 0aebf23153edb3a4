"""Finds attempts whose worker or message has vanished, and sends their jobs again."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from apps.jobs.errors import JobErrorCode
from apps.jobs.models import Attempt, AttemptState
from apps.jobs.services.intake import batch_open
from apps.jobs.services.queue import LiveWorker, messages_present
from apps.jobs.services.settle import End, failed_result
from apps.jobs.services.submission import attempts_cancel
from apps.jobs.services.turns import turn_take

logger = logging.getLogger(__name__)

UNSEEN_S = 5
UNCLAIMED_S = 60
CHUNK = 500


def attempts_drop(
    attempts: list[tuple[UUID, int]], state: AttemptState, code: str, message: str, *, count: bool
) -> int:
    """End attempts that are still in a state; their jobs run again, bounded. Returns how many.

    `count`: it costs one of the job's failures (the job may be what killed the worker).
    """
    dropped: list[tuple[UUID, int]] = []
    for start in range(0, len(attempts), CHUNK):
        with transaction.atomic():
            if not turn_take():
                return len(dropped)
            batch = batch_open(attempts[start : start + CHUNK])
            for job, number in attempts[start : start + CHUNK]:
                found = batch.current(job, number)
                if found is None or found[1].state != state:
                    continue
                result = failed_result(found[1], code, message)
                batch.end(*found, End("lost" if count else "released", result))
                dropped.append((job, number))
            batch.save()
    attempts_cancel(dropped, "superseded")
    return len(dropped)


def workers_lost(attempts: list[tuple[UUID, int]]) -> int:
    """Send the jobs again of claimed attempts that had no lease, unless they have ended since."""
    message = "the worker vanished while it was at this job"
    number = attempts_drop(
        attempts, AttemptState.CLAIMED, JobErrorCode.WORKER_LOST, message, count=True
    )
    if number:
        logger.warning("%d jobs lost their worker", number)
    return number


def messages_lost(workers: Callable[[], list[LiveWorker]]) -> int:
    """Send the jobs again whose message is neither in the queue nor with a live worker."""
    now = timezone.now()
    old = Attempt.objects.filter(
        state=AttemptState.SENT, sent_at__lt=now - timedelta(seconds=UNSEEN_S)
    ).values_list("job_id", "number", "message", "sent_at", "job__queue")
    by_queue: dict[str, list[tuple[UUID, int, str, bool]]] = defaultdict(list)
    for job, number, message, sent_at, queue in old:
        stuck = sent_at < now - timedelta(seconds=UNCLAIMED_S)
        by_queue[queue].append((job, number, message, stuck))
    lost: list[tuple[UUID, int]] = []
    for queue, rows in by_queue.items():
        lying, taken = messages_present(queue, workers())
        for job, number, message, stuck in rows:
            if message not in lying and (message not in taken or stuck):
                lost.append((job, number))
    text = "the message to the worker was lost"
    return attempts_drop(lost, AttemptState.SENT, JobErrorCode.WORKER_LOST, text, count=False)

"""What Valkey knows: live workers, leases, messages on the way, progress, reports."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID

from gpu_workers import broker

logger = logging.getLogger(__name__)

NAMESPACE = "dramatiq"
ANNOUNCED_S = 15.0


@dataclass(frozen=True, slots=True)
class LiveWorker:
    """A worker process that announced itself within the last seconds."""

    id: str
    host: str
    pid: int
    brokers: dict[str, str]
    slots: dict[str, int]
    code_version: str
    started_at: float


@dataclass(frozen=True, slots=True)
class Report:
    """An event of a worker, unchecked; `entry` is its id in the stream."""

    entry: str
    job: UUID
    attempt: int
    sequence: int
    kind: str
    payload: str
    signature: str


def workers_live() -> list[LiveWorker]:
    """Return the workers that are alive; forgets those that have not announced themselves."""
    valkey = broker.client()
    valkey.zremrangebyscore(broker.WORKERS, 0, time.time() - ANNOUNCED_S)
    names = [n.decode() for n in cast("list[bytes]", valkey.zrange(broker.WORKERS, 0, -1))]
    if not names:
        return []
    texts = cast("list[bytes | None]", valkey.mget([broker.worker_key(n) for n in names]))
    return [LiveWorker(**json.loads(text)) for text in texts if text is not None]


def leases_missing(attempts: list[tuple[UUID, int]]) -> set[tuple[UUID, int]]:
    """Return those of the claimed attempts that no worker holds a lease on."""
    if not attempts:
        return set()
    keys = [broker.lease_key(job, attempt) for job, attempt in attempts]
    found = cast("list[bytes | None]", broker.client().mget(keys))
    return {attempt for attempt, value in zip(attempts, found, strict=True) if value is None}


def messages_present(queue: str, workers: Iterable[LiveWorker]) -> tuple[set[str], set[str]]:
    """Return ids of messages that lie in a queue, and of those that a live worker has taken."""
    valkey = broker.client()
    lying = cast("list[bytes]", valkey.lrange(f"{NAMESPACE}:{queue}", 0, -1))
    taken: set[str] = set()
    for worker in workers:
        if queue not in worker.brokers:
            continue
        key = f"{NAMESPACE}:__acks__.{worker.brokers[queue]}.{queue}"
        taken |= {m.decode() for m in cast("set[bytes]", valkey.smembers(key))}
    return {m.decode() for m in lying}, taken


def reports_read(limit: int) -> list[Report]:
    """Return the oldest reports of the event stream; what cannot be parsed is dropped."""
    entries = cast("list[Any]", broker.client().xrange(broker.EVENTS, count=limit))
    reports: list[Report] = []
    broken: list[str] = []
    for raw, fields in entries:
        entry = raw.decode()
        try:
            values = {k.decode(): v.decode() for k, v in fields.items()}
            reports.append(
                Report(
                    entry=entry,
                    job=UUID(values["job"]),
                    attempt=int(values["attempt"]),
                    sequence=int(values["sequence"]),
                    kind=values["kind"],
                    payload=values["payload"],
                    signature=values["signature"],
                )
            )
        except (KeyError, ValueError, AttributeError):
            logger.warning("an event without a meaning was dropped: %s", entry)
            broken.append(entry)
    reports_forget(broken)
    return reports


def reports_forget(entries: list[str]) -> None:
    """Remove reports from the stream: they are in the database, or refused."""
    if entries:
        broker.client().xdel(broker.EVENTS, *entries)


def reports_wait(seen: dict[str, str], timeout_s: float) -> dict[str, str]:
    """Block until a report or a wake-up arrives, or the time is over; returns the last ids seen."""
    streams: Any = seen
    answer = cast("Any", broker.client().xread(streams, count=100, block=int(timeout_s * 1000)))
    found = answer.items() if isinstance(answer, dict) else (answer or [])
    newest = {name.decode(): entries[-1][0].decode() for name, entries in found if entries}
    return {**seen, **newest}


def streams_start() -> dict[str, str]:
    """Return where to begin to wait: after the newest entry of either stream."""
    start = {}
    for name in (broker.EVENTS, broker.WAKE_CONTROL):
        newest = cast("list[Any]", broker.client().xrevrange(name, count=1))
        start[name] = newest[0][0].decode() if newest else "0-0"
    return start


def progress_read(jobs: list[UUID]) -> dict[UUID, tuple[float, str]]:
    """Return fraction and message of running jobs that said something."""
    if not jobs:
        return {}
    with broker.client().pipeline(transaction=False) as pipe:
        for job in jobs:
            pipe.hmget(broker.progress_key(job), ["fraction", "message"])
        answers = pipe.execute()
    return {
        job: (float(fraction), (message or b"").decode())
        for job, (fraction, message) in zip(jobs, answers, strict=True)
        if fraction is not None
    }

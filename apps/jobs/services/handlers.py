"""Who is told when jobs start, move or end: the apps above register, the ledger calls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID

from apps.jobs.models import Job, Tally
from gpu_workers.messages import JobResult

Ended = tuple[Job, JobResult]
OnEnd = Callable[[Job, JobResult], None]
OnStart = Callable[[Job], None]
OnEndMany = Callable[[list[Ended]], None]
OnTallies = Callable[[UUID, list[Tally]], None]


@dataclass(slots=True)
class _Registered:
    end: dict[str, OnEndMany] = field(default_factory=dict)
    start: dict[str, OnStart] = field(default_factory=dict)
    tallies: list[OnTallies] = field(default_factory=list)


_registered = _Registered()


def register_handler(kind: str, on_end: OnEnd, on_start: OnStart | None = None) -> None:
    """Call `on_end(job, result)` for each ended job of a kind, in the transaction that ends it."""

    def each(ended: list[Ended]) -> None:
        for job, result in ended:
            on_end(job, result)

    register_batch_handler(kind, each)
    if on_start is not None:
        _registered.start[kind] = on_start


def register_batch_handler(kind: str, on_end: OnEndMany) -> None:
    """Call `on_end` with all jobs of a kind that one transaction ends, in their order."""
    _registered.end[kind] = on_end


def register_tally_handler(on_tallies: OnTallies) -> None:
    """Call `on_tallies(scope, tallies)` at most 5 times a second per scope while counts move."""
    if on_tallies not in _registered.tallies:
        _registered.tallies.append(on_tallies)


def ended(jobs: list[Ended]) -> None:
    """Tell the handlers that jobs ended; kinds without a handler are nobody's concern."""
    by_kind: dict[str, list[Ended]] = {}
    for job, result in jobs:
        by_kind.setdefault(job.kind, []).append((job, result))
    for kind, group in by_kind.items():
        if kind in _registered.end:
            _registered.end[kind](group)


def started(jobs: list[Job]) -> None:
    """Tell the handlers that a worker has claimed jobs."""
    for job in jobs:
        if job.kind in _registered.start:
            _registered.start[job.kind](job)


def tallied(scope: UUID, tallies: list[Tally]) -> None:
    """Tell the handlers that counts of a scope moved."""
    for handler in _registered.tallies:
        handler(scope, tallies)

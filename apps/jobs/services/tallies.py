"""Counts of jobs per parent and state, moved by differences in the transaction that moves jobs."""

from __future__ import annotations

from collections import Counter
from uuid import UUID

from django.db import transaction
from django.db.models import F

from apps.jobs.models import Job, Tally


class Moves:
    """Differences of one transaction; `apply` writes one row per parent, in the order of ids."""

    def __init__(self) -> None:
        self._deltas: dict[UUID, Counter[str]] = {}
        self._scopes: dict[UUID, UUID] = {}

    def add(self, job: Job, after: str, before: str | None = None) -> None:
        """Note that a job went from one state (None: it is new) to another."""
        delta = self._deltas.setdefault(job.parent, Counter())
        self._scopes[job.parent] = job.scope
        if before is not None:
            delta[before] -= 1
        delta[after] += 1

    def apply(self) -> None:
        """Write the differences and note the parents as moved after the commit."""
        parents = sorted(self._deltas, key=str)
        known = set(Tally.objects.filter(parent__in=parents).values_list("parent", flat=True))
        new = [Tally(parent=p, scope=self._scopes[p]) for p in parents if p not in known]
        Tally.objects.bulk_create(new, ignore_conflicts=True)
        for parent in parents:
            changes = {k: F(k) + v for k, v in self._deltas[parent].items() if v}
            if changes:
                Tally.objects.filter(parent=parent).update(**changes)
        if _watching:
            moved = [(self._scopes[p], p) for p in parents]
            transaction.on_commit(lambda: _moved.update(moved))


_moved: set[tuple[UUID, UUID]] = set()
_watching: set[bool] = set()


def watch() -> None:
    """Note from now on which counts this process moves; only the control loop reads them."""
    _watching.add(True)


def moved_take() -> set[tuple[UUID, UUID]]:
    """Return scopes and parents whose counts this process moved since the last call."""
    taken = set(_moved)
    _moved.difference_update(taken)
    return taken


def unfinished(tally: Tally) -> int:
    """Return how many jobs of a parent are not at their end."""
    return tally.waiting + tally.queued + tally.running

"""Pure decisions of the ledger: what becomes of a job, and whose job is sent next."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

Outcome = Literal["succeeded", "failed", "killed", "lost", "released"]
Next = Literal["succeeded", "failed", "killed", "again"]

MAX_SENDS = 20
FINAL = frozenset({"succeeded", "failed", "killed", "reused"})


@dataclass(frozen=True, slots=True)
class Trial:
    """How an attempt ended and what the job had behind it before."""

    outcome: Outcome
    user_error: bool
    failures: int
    sends: int
    max_attempts: int


def after_attempt(trial: Trial) -> tuple[Next, int]:
    """Return what becomes of the job and its number of failures.

    A user's mistake is never tried again. A worker that was told to stop costs nothing; a lost
    worker costs one failure, because the job may be what kills it. Sends are bounded in any case.
    """
    if trial.outcome in ("succeeded", "killed"):
        return ("succeeded" if trial.outcome == "succeeded" else "killed"), trial.failures
    failures = trial.failures + (trial.outcome != "released")
    if trial.user_error or failures >= trial.max_attempts or trial.sends >= MAX_SENDS:
        return "failed", failures
    return "again", failures


@dataclass(frozen=True, slots=True, order=True)
class Tenant:
    """Who shares a queue: a research group and, within it, a scope (experiment)."""

    group: UUID | None
    scope: UUID


def window(slots: int, workers: int, in_flight: int, mean_s: float | None) -> int:
    """Return how many jobs may be sent now: live slots and one queued per worker.

    Jobs shorter than 5 s (`mean_s`) get two more per slot, so that slots never wait for control.
    """
    extra = 2 * slots if mean_s is not None and mean_s < 5 else 0
    return max(0, slots + workers + extra - in_flight) if slots else 0


def share(
    waiting: Mapping[Tenant, int],
    in_flight: Mapping[Tenant, int],
    served: Mapping[Tenant, float],
    room: int,
    limits: Mapping[UUID | None, int] | None = None,
) -> dict[Tenant, int]:
    """Split `room` places among those who wait; returns places per tenant.

    The group with the fewest jobs in flight goes first, among equals the one served longest ago;
    the same rule holds for the scopes within a group. `limits` bounds a group's jobs in flight.
    """
    limits = limits or {}
    by_group: dict[UUID | None, list[Tenant]] = defaultdict(list)
    for tenant, count in waiting.items():
        if count > 0:
            by_group[tenant.group].append(tenant)
    flying: dict[UUID | None, int] = defaultdict(int)
    last: dict[UUID | None, float] = defaultdict(float)
    for tenant, count in in_flight.items():
        flying[tenant.group] += count
    for tenant, at in served.items():
        last[tenant.group] = max(last[tenant.group], at)
    inner = {
        group: [(in_flight.get(t, 0), served.get(t, 0.0), t.scope.int, t) for t in tenants]
        for group, tenants in by_group.items()
    }
    for heap in inner.values():
        heapq.heapify(heap)
    outer = [(flying[g], last[g], 0 if g is None else g.int, g) for g in inner]
    heapq.heapify(outer)
    picks: dict[Tenant, int] = defaultdict(int)
    while outer and room > 0:
        count, at, number, group = heapq.heappop(outer)
        if group in limits and count >= limits[group]:
            continue
        fewest, since, scope, tenant = heapq.heappop(inner[group])
        picks[tenant] += 1
        room -= 1
        if picks[tenant] < waiting[tenant]:
            heapq.heappush(inner[group], (fewest + 1, since, scope, tenant))
        if inner[group]:
            heapq.heappush(outer, (count + 1, at, number, group))
    return dict(picks)

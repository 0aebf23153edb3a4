"""Numbered events of a scope, and the lock that orders all writes of an experiment."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from apps.core import realtime
from apps.jobs.models import Event, Scope

_ADVANCE = """
INSERT INTO jobs_scope (id, sequence) VALUES (%s, %s)
ON CONFLICT (id) DO UPDATE SET sequence = jobs_scope.sequence + EXCLUDED.sequence
RETURNING sequence
"""


def _advance(scope: UUID, by: int) -> int:
    with connection.cursor() as cursor:
        cursor.execute(_ADVANCE, [scope, by])
        return int(cursor.fetchone()[0])


def scopes_lock(scopes: Iterable[UUID]) -> None:
    """Lock the counters of scopes until the transaction ends.

    The first lock of every write to jobs and workflows: Scope -> Workflow -> StepRun -> Job by id.
    Scopes are locked in the order of their ids, so two transactions cannot wait for each other.
    """
    for scope in sorted(set(scopes), key=str):
        _advance(scope, 0)


def events_publish(*, scope: UUID, events: list[tuple[str, dict[str, Any]]]) -> int:
    """Append events under the scope's counter, send them after commit; returns the last number."""
    if not events:
        return 0
    with transaction.atomic():
        last = _advance(scope, len(events))
        first = last - len(events) + 1
        rows = [
            Event(scope_id=scope, sequence=first + i, kind=kind, payload=payload)
            for i, (kind, payload) in enumerate(events)
        ]
        Event.objects.bulk_create(rows)
        message = {
            "type": "events",
            "from": first,
            "to": last,
            "events": [
                {"sequence": row.sequence, "kind": row.kind, "payload": row.payload} for row in rows
            ],
        }
        transaction.on_commit(lambda: realtime.publish(scope, message))
    return last


def event_publish(*, scope: UUID, kind: str, payload: dict[str, Any]) -> int:
    """Append one event under the scope's counter and send it to its watchers after commit."""
    return events_publish(scope=scope, events=[(kind, payload)])


def scope_sequence(scope: UUID) -> int:
    """Return the number of the newest event of a scope; 0 before the first."""
    return Scope.objects.filter(id=scope).values_list("sequence", flat=True).first() or 0

"""Only one control process writes at a time: the lock every control transaction begins with."""

from __future__ import annotations

from django.db import connection

_KEY = 7_140_021_995


def turn_take() -> bool:
    """Take the control lock until the transaction ends; False when another process has it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_KEY])
        return bool(cursor.fetchone()[0])

"""The pool of connections, after the database was restarted."""

from __future__ import annotations

import psycopg
import pytest
from django.db import connection
from django.db.backends.postgresql.base import DatabaseWrapper

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_pooled_connection_that_died_is_made_anew() -> None:
    used = {**connection.settings_dict, "OPTIONS": {"pool": {"min_size": 0, "max_size": 2}}}
    wrapper = DatabaseWrapper(used, "pooled")
    with wrapper.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (process,) = cursor.fetchone()
    wrapper.close()
    admin = {
        k: used[v] for k, v in (("host", "HOST"), ("user", "USER"), ("dbname", "NAME")) if used[v]
    }
    with psycopg.connect(**admin, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", [process])

    with wrapper.cursor() as cursor:
        cursor.execute("SELECT 1")
        found = cursor.fetchone()
    wrapper.close()
    wrapper.close_pool()

    assert found == (1,)

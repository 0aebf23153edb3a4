"""The audit trail only grows."""

from __future__ import annotations

import pytest
from django.db import DatabaseError, transaction

from apps.core import audit
from apps.core.models import AuditEntry
from tests.factories import ExperimentFactory, UserFactory

pytestmark = pytest.mark.django_db


def test_an_entry_outlives_its_actor_and_object() -> None:
    actor, experiment = UserFactory(username="ada"), ExperimentFactory(name="screen")
    entry = audit.record(actor=actor, action="experiment.look", obj=experiment, why="test")
    key = str(experiment.id)

    experiment.delete()
    actor.delete()

    entry.refresh_from_db()
    assert (entry.actor_name, entry.object_type, entry.object_id) == ("ada", "experiment", key)
    assert entry.extra == {"why": "test"}


def test_the_database_refuses_to_change_or_delete_an_entry() -> None:
    entry = audit.record(actor=None, action="experiment.look", object_type="x", object_id="1")

    for change in (
        lambda: AuditEntry.objects.filter(id=entry.id).update(action="nothing"),
        lambda: AuditEntry.objects.filter(id=entry.id).delete(),
    ):
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
            change()

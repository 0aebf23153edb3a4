"""Sharing: policies, grants on parts, owners, and the epoch that follows every change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from apps.accounts.models import User
from apps.accounts.services import membership_remove, membership_set, user_activity_set
from apps.core import permissions
from apps.core.errors import NotFound, PermissionDenied
from apps.core.models import AuditEntry
from apps.core.valkey import EPOCHS_CHANNEL, client, epoch_key
from apps.experiments import selectors
from apps.experiments.models import Experiment
from tests.factories import (
    GroupFactory,
    MosaicFactory,
    ObjectSetFactory,
    ObjectTypeFactory,
    PlateFactory,
    UserFactory,
    WellFactory,
)
from tests.integration.experiments.conftest import Lab

Capture = Callable[..., Any]


def _epoch(lab: Lab) -> int:
    return Experiment.objects.get(id=lab.experiment.id).access_epoch


def _grant(lab: Lab, **body: object) -> Any:
    return lab.client.post(f"{lab.address}access/", body, format="json")


@pytest.mark.parametrize(
    ("policy", "level"), [("private", None), ("group_read", "view"), ("group_write", "edit")]
)
def test_a_new_experiment_is_shared_as_its_group_says(
    lab: Lab, policy: str, level: str | None
) -> None:
    colleague = UserFactory()
    membership_set(group=lab.group, user=colleague)
    lab.group.policy = policy
    lab.group.save()

    made = lab.client.post("/api/v1/experiments/", {"name": "new"}, format="json").json()

    assert made["role"] == "own"
    answer = lab.signed_in(colleague).get(f"/api/v1/experiments/{made['id']}/")
    assert answer.status_code == (404 if level is None else 200)
    assert level is None or answer.json()["role"] == level


def test_a_grant_on_one_plate_reaches_just_that(lab: Lab) -> None:
    guest = UserFactory(username="guest")
    other = PlateFactory(experiment=lab.experiment)
    for plate in (lab.plate, other):
        WellFactory(plate=plate)
        ObjectSetFactory(plate=plate)
    mosaic, hidden = MosaicFactory(plate=lab.plate), MosaicFactory(plate=other)

    answer = _grant(lab, user="guest", level="edit", plate=str(lab.plate.id))

    assert answer.status_code == 201
    theirs = lab.signed_in(guest)
    shown = theirs.get("/api/v1/experiments/").json()["results"]
    assert [(e["id"], e["role"]) for e in shown] == [(str(lab.experiment.id), "view")]
    assert shown[0]["status"] == {"plates": 1, "wells": 1, "sites": 0, "objects": 0}
    plates = theirs.get(f"{lab.address}plates/").json()["results"]
    assert [p["id"] for p in plates] == [str(lab.plate.id)]
    assert len(theirs.get(f"{lab.address}wells/").json()["results"]) == 1
    assert theirs.get(f"{lab.address}wells/?plate={other.id}").json()["results"] == []
    assert theirs.get(f"{lab.address}mosaics/{mosaic.id}/").status_code == 200
    assert theirs.get(f"{lab.address}mosaics/{hidden.id}/").status_code == 404
    assert theirs.get(f"{lab.address}object-sets/").json()["results"] == []
    assert theirs.get(f"{lab.address}object-types/").json()["results"] == []
    renamed = {"description": "mine"}
    mine = f"{lab.address}plates/{lab.plate.id}/"
    assert theirs.patch(mine, renamed, format="json").status_code == 200
    hidden_plate = f"{lab.address}plates/{other.id}/"
    assert theirs.patch(hidden_plate, renamed, format="json").status_code == 404
    assert theirs.patch(lab.address, renamed, format="json").status_code == 403
    assert theirs.delete(mine).status_code == 403
    reach = selectors.reach(user=guest, experiment_id=lab.experiment.id)
    assert (reach.plates, reach.object_types, reach.level) == ({lab.plate.id}, set(), "view")


def test_objects_need_their_type_and_their_plate(lab: Lab) -> None:
    guest = UserFactory(username="guest")
    kinds = [ObjectTypeFactory(experiment=lab.experiment) for _ in range(2)]
    other = PlateFactory(experiment=lab.experiment)
    sets = {
        (plate.id, kind.id): ObjectSetFactory(plate=plate, object_type=kind)
        for plate in (lab.plate, other)
        for kind in kinds
    }
    theirs = lab.signed_in(guest)

    _grant(lab, user="guest", level="view", object_type=str(kinds[0].id))
    with_type = theirs.get(f"{lab.address}object-sets/").json()["results"]
    _grant(lab, user="guest", level="view", plate=str(lab.plate.id))
    with_both = theirs.get(f"{lab.address}object-sets/").json()["results"]

    assert with_type == []
    assert [s["id"] for s in with_both] == [str(sets[lab.plate.id, kinds[0].id].id)]
    types = theirs.get(f"{lab.address}object-types/").json()["results"]
    assert [t["id"] for t in types] == [str(kinds[0].id)]


def test_a_deleted_experiment_is_gone_for_everybody_at_once(lab: Lab) -> None:
    before = _epoch(lab)

    assert lab.client.delete(lab.address).status_code == 204

    assert lab.client.get(lab.address).status_code == 404
    assert lab.client.get("/api/v1/experiments/").json()["results"] == []
    assert _epoch(lab) == before + 1
    again = lab.client.post("/api/v1/experiments/", {"name": lab.experiment.name}, format="json")
    assert again.status_code == 201


def test_every_change_of_access_bumps_and_mirrors_the_epoch(
    lab: Lab, django_capture_on_commit_callbacks: Capture
) -> None:
    guest = UserFactory(username="guest")
    listener = client().pubsub()
    listener.subscribe(EPOCHS_CHANNEL)
    listener.get_message(timeout=5)
    before = _epoch(lab)

    with django_capture_on_commit_callbacks(execute=True):
        _grant(lab, user="guest", level="view")
        lab.client.delete(f"{lab.address}access/{guest.id}/")

    assert _epoch(lab) == before + 2
    assert client().get(epoch_key(lab.experiment.id)) == str(before + 2).encode()
    said = [listener.get_message(timeout=5) for _ in range(2)]
    listener.close()
    assert [m["data"] for m in said if m] == [
        f"{lab.experiment.id}:{before + n}".encode() for n in (1, 2)
    ]
    assert lab.signed_in(guest).get(lab.address).status_code == 404
    actions = list(AuditEntry.objects.values_list("action", flat=True))
    assert {"access.grant", "access.revoke"} <= set(actions)


def test_joining_leaving_and_closing_bump_the_epochs_of_what_is_reached(lab: Lab) -> None:
    user, group = UserFactory(), GroupFactory(name="Others", managers=[UserFactory()])
    _grant(lab, group="Others", level="view", plate=str(lab.plate.id))
    epochs = [_epoch(lab)]

    for change in (
        lambda: membership_set(group=group, user=user),
        lambda: user_activity_set(user=User.objects.get(id=user.id), active=False),
        lambda: membership_remove(group=group, user=user),
    ):
        change()
        epochs.append(_epoch(lab))

    assert epochs == [epochs[0] + n for n in range(4)]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"level": "view"}, "one_subject"),
        ({"user": "owner", "group": "Lab", "level": "view"}, "one_subject"),
        ({"user": "who", "level": "view"}, "unknown_user"),
        ({"group": "which", "level": "view"}, "unknown_group"),
        ({"group": "Lab", "level": "admin"}, "invalid"),
    ],
)
def test_a_grant_to_nobody_is_refused(lab: Lab, body: dict[str, str], code: str) -> None:
    answer = _grant(lab, **body)

    assert (answer.status_code, answer.json()["code"]) == (400, code)


def test_parts_are_the_experiments_own_and_cannot_be_owned(lab: Lab) -> None:
    UserFactory(username="guest")
    foreign = PlateFactory()

    strange = _grant(lab, user="guest", level="view", plate=str(foreign.id))
    owned = _grant(lab, user="guest", level="own", plate=str(lab.plate.id))

    assert strange.json()["code"] == "unknown_plate"
    assert owned.json()["code"] == "part_not_ownable"
    assert permissions.subjects(foreign) == []


def test_an_experiment_keeps_an_owner(lab: Lab) -> None:
    lowered = _grant(lab, user="owner", level="view")
    left = lab.client.delete(f"{lab.address}access/{lab.owner.id}/")

    assert (lowered.status_code, left.status_code) == (409, 409)
    assert lowered.json()["code"] == left.json()["code"] == "last_owner"


def test_an_editor_cannot_share_and_a_stranger_learns_nothing(lab: Lab) -> None:
    editor, stranger = UserFactory(), UserFactory()
    permissions.grant(subject=editor, level="edit", obj=lab.experiment)
    get = selectors.experiment_get

    assert get(user=editor, experiment_id=lab.experiment.id, level="edit") == lab.experiment
    with pytest.raises(PermissionDenied):
        get(user=editor, experiment_id=lab.experiment.id, level="own")
    with pytest.raises(NotFound):
        get(user=stranger, experiment_id=lab.experiment.id)


def test_the_experiment_list_takes_a_fixed_number_of_queries(
    lab: Lab, django_assert_max_num_queries: Capture
) -> None:
    for n in range(5):
        lab.client.post("/api/v1/experiments/", {"name": f"more {n}"}, format="json")

    with django_assert_max_num_queries(16):
        found = lab.client.get("/api/v1/experiments/").json()["results"]

    assert len(found) == 6

"""Research groups: members, managers, and Django's group that follows them."""

from __future__ import annotations

import pytest
from rest_framework.test import APIClient

from apps.accounts.models import Membership, ResearchGroup
from apps.accounts.services import group_create, membership_set
from apps.core.errors import Conflict
from apps.core.models import AuditEntry
from tests.factories import GroupFactory, UserFactory

pytestmark = pytest.mark.django_db


def _members(user: object, group: ResearchGroup) -> tuple[APIClient, str]:
    client = APIClient()
    client.force_login(user)
    return client, f"/api/v1/groups/{group.id}/members/"


def test_djangos_group_follows_the_membership() -> None:
    manager, user = UserFactory(), UserFactory()
    group = GroupFactory(managers=[manager])
    client, address = _members(manager, group)

    added = client.post(address, {"member": user.username}, format="json")

    assert added.status_code == 201
    assert list(user.groups.all()) == [group.group]
    assert client.delete(f"{address}{user.id}/").status_code == 204
    assert not user.groups.exists()
    actions = set(AuditEntry.objects.values_list("action", flat=True))
    assert {"membership.set", "membership.remove"} <= actions


def test_a_group_keeps_its_last_manager() -> None:
    manager = UserFactory()
    group = GroupFactory(managers=[manager])
    client, address = _members(manager, group)

    answer = client.delete(f"{address}{manager.id}/")

    assert (answer.status_code, answer.json()["code"]) == (409, "last_manager")


def test_setting_a_membership_twice_leaves_one() -> None:
    user, group = UserFactory(), GroupFactory()

    membership_set(group=group, user=user)
    membership_set(group=group, user=user, role="manager")

    assert [m.role for m in Membership.objects.filter(group=group)] == ["manager"]


def test_unknown_people_are_named_in_the_error() -> None:
    manager = UserFactory()
    client, address = _members(manager, GroupFactory(managers=[manager]))

    answer = client.post(address, {"member": "who"}, format="json")

    assert (answer.status_code, answer.json()["code"]) == (400, "unknown_user")
    assert "who" in answer.json()["message"]


def test_two_groups_cannot_share_a_name() -> None:
    group_create(name="Lab")

    with pytest.raises(Conflict):
        group_create(name="Lab")

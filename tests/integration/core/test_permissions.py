"""The gate: levels, groups, and that administering shows nothing."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import AnonymousUser, Permission

from apps.accounts.services import membership_remove
from apps.core import permissions
from apps.core.permissions import Level
from apps.experiments.models import Experiment
from tests.factories import ExperimentFactory, GroupFactory, UserFactory

pytestmark = pytest.mark.django_db


def test_a_level_holds_those_below_it() -> None:
    user, experiment = UserFactory(), ExperimentFactory()

    permissions.grant(subject=user, level="edit", obj=experiment)

    assert permissions.levels(user, experiment) == {Level.VIEW, Level.EDIT}
    rows = Experiment.objects.all()
    assert experiment in permissions.visible(user, rows, "view")
    assert experiment in permissions.visible(user, rows, "edit")
    assert experiment not in permissions.visible(user, rows, "own")


def test_granting_again_replaces_the_level() -> None:
    user, experiment = UserFactory(), ExperimentFactory()
    permissions.grant(subject=user, level="own", obj=experiment)

    permissions.grant(subject=user, level="view", obj=experiment)

    assert permissions.levels(user, experiment) == {Level.VIEW}
    assert permissions.subjects(experiment) == [(user, Level.VIEW)]


def test_members_have_their_groups_level_until_they_leave() -> None:
    user, experiment = UserFactory(), ExperimentFactory()
    group = GroupFactory(members=[user])
    permissions.grant(subject=group.group, level="edit", obj=experiment)
    before = permissions.levels(user, experiment)

    membership_remove(group=group, user=user)

    user = type(user).objects.get(id=user.id)
    assert before == {Level.VIEW, Level.EDIT}
    assert permissions.levels(user, experiment) == set()


@pytest.mark.parametrize("flags", [{"is_superuser": True}, {"is_staff": True}])
def test_administering_shows_no_data(flags: dict[str, bool]) -> None:
    experiment = ExperimentFactory()
    user = UserFactory(**flags)
    user.user_permissions.set(Permission.objects.all())

    assert permissions.levels(user, experiment) == set()
    assert not permissions.visible(user, Experiment.objects.all()).exists()


def test_nobody_and_closed_accounts_reach_nothing() -> None:
    experiment, closed = ExperimentFactory(), UserFactory(is_active=False)
    permissions.grant(subject=closed, level="own", obj=experiment)

    for user in (AnonymousUser(), closed):
        assert permissions.levels(user, experiment) == set()
        assert not permissions.visible(user, Experiment.objects.all()).exists()

"""The admin: every list and detail opens for administrators, and changes only what it should."""

from __future__ import annotations

import pytest
from django.apps import apps
from django.contrib import admin
from django.test import Client
from django.urls import reverse

from apps.accounts.models import ResearchGroup, User
from apps.core import audit
from apps.experiments.models import Experiment
from tests.factories import (
    ChannelFactory,
    CycleFactory,
    FeatureFactory,
    LayoutVersionFactory,
    MosaicFactory,
    ObjectSetFactory,
    ProductFactory,
    SiteFactory,
    SourceFileFactory,
    UserFactory,
    WellFactory,
)
from tests.integration.experiments.conftest import Lab

OURS = ("core", "accounts", "experiments")
MODELS = [m for m in apps.get_models() if m._meta.app_label in OURS]


@pytest.fixture
def administrator(lab: Lab) -> Client:
    SiteFactory(well=WellFactory(plate=lab.plate))
    for factory in (ChannelFactory, CycleFactory, LayoutVersionFactory, ProductFactory):
        factory(experiment=lab.experiment)
    MosaicFactory(plate=lab.plate)
    FeatureFactory(object_type=ObjectSetFactory(plate=lab.plate).object_type)
    SourceFileFactory(acquisition=lab.acquisition)
    audit.record(actor=None, action="test", obj=lab.experiment)
    client = Client()
    client.force_login(UserFactory(username="root", is_staff=True, is_superuser=True))
    return client


@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.__name__)
def test_every_model_has_a_list_and_details(administrator: Client, model: type) -> None:
    assert model in admin.site._registry
    name = f"admin:{model._meta.app_label}_{model._meta.model_name}"

    listed = administrator.get(reverse(f"{name}_changelist"), {"q": "x"})
    row = model._default_manager.first()
    shown = administrator.get(reverse(f"{name}_change", args=[row.pk])) if row else None

    assert listed.status_code == 200
    assert shown is None or shown.status_code == 200


def test_experiments_are_not_changed_by_hand(administrator: Client, lab: Lab) -> None:
    address = reverse("admin:experiments_experiment_change", args=[lab.experiment.id])

    assert administrator.post(address, {"name": "mine"}).status_code == 403
    assert administrator.post(address.replace("change", "delete")).status_code == 403
    assert Experiment.objects.get().name == lab.experiment.name


def test_a_group_and_its_members_are_made_through_the_services(administrator: Client) -> None:
    user = User.objects.get(username="owner")
    quotas = {"policy": "group_read", "quota_bytes": 10, "quota_gpu_s": 1, "quota_jobs": 7}
    inline = {"memberships-TOTAL_FORMS": 0, "memberships-INITIAL_FORMS": 0}

    administrator.post(
        reverse("admin:accounts_researchgroup_add"), {"name": "New", **quotas, **inline}
    )
    group = ResearchGroup.objects.get(name="New")
    body = {"user": user.id, "group": group.id, "role": "member"}
    administrator.post(reverse("admin:accounts_membership_add"), body)

    assert (group.quota_bytes, group.quota_jobs, group.policy) == (10, 7, "group_read")
    assert group.group in user.groups.all()

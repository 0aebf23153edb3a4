"""Deleting an experiment ends what still runs for it."""

from __future__ import annotations

import pytest

from apps.experiments.selectors import experiment_description
from apps.jobs.models import Job
from apps.jobs.services import NewJob, jobs_submit
from tests import factories

pytestmark = pytest.mark.django_db


def test_deleting_an_experiment_kills_its_jobs_and_no_others(client):
    owner = factories.UserFactory()
    doomed, other = (factories.ExperimentFactory(owner=owner) for _ in range(2))
    for experiment in (doomed, other):
        description = experiment_description(experiment_id=experiment.id)
        new = NewJob(kind="plan", name="metaextract", experiment=description)
        jobs_submit(
            scope=experiment.id, group_id=experiment.group_id, parent=experiment.id, jobs=[new]
        )
    client.force_login(owner)

    response = client.delete(f"/api/v1/experiments/{doomed.id}/")

    assert response.status_code == 204
    assert Job.objects.get(scope=doomed.id).state == "killed"
    assert Job.objects.get(scope=other.id).state == "waiting"

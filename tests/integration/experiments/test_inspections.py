"""Inspections: a reader or a pattern tried on the real files, with the job done in this process."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import pytest
import tifffile
from django.utils import timezone

from apps.experiments.models import Inspection
from apps.experiments.selectors import experiment_description, experiment_root
from apps.experiments.services import inspection_apply
from apps.jobs.models import Job
from gpu_workers.messages import JobResult, JobSpec
from gpu_workers.runner.execute import execute
from gpu_workers.storage import paths
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def lab(settings, tmp_path, client):
    """An acquisition with two uploaded images, and its editor's client."""
    settings.TISSUEMAPS_DATA = tmp_path
    editor = factories.UserFactory()
    experiment = factories.ExperimentFactory(editor=editor)
    acquisition = factories.AcquisitionFactory(
        plate=factories.PlateFactory(experiment=experiment), status="complete"
    )
    folder = experiment_root(experiment.id) / paths.uploads(acquisition.id)
    folder.mkdir(parents=True)
    for name in ("x_B02_f1.tif", "x_B03_f1.tif", "notes.tif"):
        tifffile.imwrite(folder / name, np.zeros((8, 8), np.uint8))
    client.force_login(editor)
    return {"experiment": experiment, "acquisition": acquisition, "api": client}


def _url(lab: dict[str, Any]) -> str:
    return (
        f"/api/v1/experiments/{lab['experiment'].id}/acquisitions/{lab['acquisition'].id}"
        "/inspections/"
    )


def _ask(lab: dict[str, Any], **body: str) -> tuple[dict[str, Any], JobResult]:
    """Request an inspection, do its job here as a worker would, and return both."""
    response = lab["api"].post(_url(lab), body, content_type="application/json")
    assert response.status_code == 202, response.content
    job = Job.objects.get(parent=response.json()["id"])
    spec = JobSpec(
        job=job.id, attempt=1, kind="inspect", name=job.name, batch=job.batch,
        experiment=experiment_description(experiment_id=lab["experiment"].id),
    )  # fmt: skip
    outcome = execute(spec, experiment_root(lab["experiment"].id))
    inspection_apply(job, outcome)
    return lab["api"].get(f"{_url(lab)}{response.json()['id']}/").json(), outcome


def test_a_pattern_is_tried_on_the_real_files(lab):
    found, _ = _ask(lab, pattern=r"_(?P<well>[A-P]\d\d)_f(?P<site>\d)")

    assert found["state"] == "succeeded"
    assert found["result"]["wells"] == ["B02", "B03"]
    assert [e["file"] for e in found["result"]["examples"]] == ["x_B02_f1.tif", "x_B03_f1.tif"]
    assert found["result"]["unused"] == ["notes.tif"]


def test_a_wrong_pattern_says_what_is_wrong(lab):
    found, _ = _ask(lab, pattern="(?P<well>")

    assert found["state"] == "failed"
    assert found["error"]["code"] == "bad_pattern"


def test_a_pattern_that_takes_for_ever_is_stopped(lab):
    folder = experiment_root(lab["experiment"].id) / paths.uploads(lab["acquisition"].id)
    (folder / f"{'a' * 60}!.tif").write_bytes(b"")

    found, _ = _ask(lab, pattern=r"(?P<well>(a|aa)+)$")

    assert found["state"] == "failed"
    assert found["error"]["code"] == "bad_pattern"


def test_an_inspection_that_ends_twice_changes_nothing(lab):
    found, outcome = _ask(lab)
    job = Job.objects.get(parent=found["id"])

    inspection_apply(job, outcome.model_copy(update={"state": "failed", "output": {}}))

    assert Inspection.objects.get(id=found["id"]).state == "succeeded"


def test_only_the_newest_are_kept(lab):
    for _ in range(22):
        factories.InspectionFactory(acquisition=lab["acquisition"], state="succeeded")

    _ask(lab)

    assert Inspection.objects.filter(acquisition=lab["acquisition"]).count() == 20


def test_whoever_asks_again_and_again_has_to_wait(lab):
    for _ in range(20):
        factories.InspectionFactory(acquisition=lab["acquisition"])

    response = lab["api"].post(_url(lab), {}, content_type="application/json")

    assert (response.status_code, response.json()["code"]) == (409, "too_many_inspections")
    assert not Job.objects.exists()


def test_inspections_that_were_lost_do_not_stand_in_the_way(lab):
    for _ in range(20):
        factories.InspectionFactory(acquisition=lab["acquisition"])
    long_ago = timezone.now() - timedelta(hours=1)
    Inspection.objects.update(created_at=long_ago)

    _ask(lab)

    assert Inspection.objects.filter(state="succeeded").count() == 1


def test_an_acquisition_without_files_cannot_be_inspected(lab):
    empty = factories.AcquisitionFactory(plate=lab["acquisition"].plate)

    response = lab["api"].post(
        _url({**lab, "acquisition": empty}), {}, content_type="application/json"
    )

    assert response.status_code == 409

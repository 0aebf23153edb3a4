"""Garbage goes after its grace, and nothing else does."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from django.core.management import call_command
from django.utils import timezone

from apps.experiments.models import Experiment, SourceFile
from apps.experiments.selectors import experiment_root
from apps.experiments.services import garbage_collect
from apps.experiments.services.collection import Collected
from tests.integration.experiments.conftest import Lab

NOW = timedelta(0)


def _upload(lab: Lab, name: str, total: int = 5) -> None:
    span = f"bytes 0-4/{total}"
    answer = lab.client.put(
        f"{lab.files}{name}/", b"12345", content_type="image/tiff", HTTP_CONTENT_RANGE=span
    )
    assert answer.status_code == 200


def test_a_deleted_experiment_goes_after_its_grace(lab: Lab) -> None:
    _upload(lab, "a.tif")
    root = experiment_root(lab.experiment.id)
    lab.client.delete(lab.address)

    early = garbage_collect(grace=timedelta(days=1))
    kept = root.is_dir()
    late = garbage_collect(grace=NOW)
    again = garbage_collect(grace=NOW)

    assert (early.experiments, late.experiments, again.experiments) == (0, 1, 0)
    assert kept
    assert not root.exists()
    assert not Experiment.objects.exists()


def test_uploads_of_a_deleted_acquisition_go_and_others_stay(lab: Lab) -> None:
    _upload(lab, "a.tif")
    body = {"plate": str(lab.plate.id), "name": "kept"}
    other = lab.client.post(f"{lab.address}acquisitions/", body, format="json").json()
    lab.client.put(
        f"{lab.address}acquisitions/{other['id']}/files/b.tif/", b"1", content_type="image/tiff"
    )
    lab.client.delete(f"{lab.address}acquisitions/{lab.acquisition.id}/")

    early = garbage_collect(grace=timedelta(days=1))
    late = garbage_collect(grace=NOW)

    assert (early.uploads, late.uploads) == (0, 1)
    left = [p for p in experiment_root(lab.experiment.id).rglob("*") if p.is_file()]
    assert [p.name for p in left] == ["b.tif"]


def test_abandoned_uploads_go_and_running_ones_stay(lab: Lab) -> None:
    _upload(lab, "old.tif", total=100)
    _upload(lab, "new.tif", total=100)
    old = timezone.now() - timedelta(days=30)
    SourceFile.objects.filter(name="old.tif").update(updated_at=old)

    found = garbage_collect(grace=timedelta(days=7))

    assert found == Collected(experiments=0, uploads=0, parts=1)
    assert [f.name for f in SourceFile.objects.all()] == ["new.tif"]


def test_a_dry_run_deletes_nothing(lab: Lab, data: Path, capsys: object) -> None:
    _upload(lab, "a.tif")
    lab.client.delete(lab.address)

    call_command("collect_garbage", "--days", "0", "--dry-run")

    assert Experiment.objects.filter(id=lab.experiment.id).exists()
    assert experiment_root(lab.experiment.id).is_dir()

"""Registered folders: only what lies below the roots, never through a link, never written."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from django.http import HttpResponse

from apps.experiments.models import SourceFile
from apps.experiments.selectors import experiment_description
from tests.data_sets import data_set
from tests.factories import GroupFactory, UserFactory
from tests.integration.experiments.conftest import Lab


@pytest.fixture
def root(settings: Any, tmp_path: Path) -> Path:
    folder = tmp_path / "microscopes"
    (folder / "plate" / "TimePoint_1").mkdir(parents=True)
    (folder / "plate" / "plate.HTD").write_bytes(b"12")
    (folder / "plate" / "TimePoint_1" / "a.tif").write_bytes(b"12345")
    settings.TISSUEMAPS_ROOTS = [folder]
    return folder


def register(lab: Lab, path: object) -> HttpResponse:
    address = f"{lab.address}acquisitions/{lab.acquisition.id}/register/"
    answer: HttpResponse = lab.client.post(address, {"path": path}, format="json")
    return answer


def test_a_folder_is_listed_and_left_alone(lab: Lab, root: Path, data: Path) -> None:
    answer = register(lab, f"{root}/plate/")

    assert answer.json() == {"files": 2, "bytes": 7}
    names = list(SourceFile.objects.values_list("name", "size", "status"))
    assert names == [("TimePoint_1/a.tif", 5, "complete"), ("plate.HTD", 2, "complete")]
    described = experiment_description(experiment_id=lab.experiment.id).acquisitions[0]
    assert described.folder == str(root / "plate")
    assert not any(data.iterdir())


def test_registering_again_lists_anew(lab: Lab, root: Path) -> None:
    register(lab, str(root / "plate"))
    (root / "plate" / "b.tif").write_bytes(b"1")

    answer = register(lab, str(root / "plate"))

    assert answer.json() == {"files": 3, "bytes": 8}
    assert SourceFile.objects.count() == 3


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("{root}/plate/../../secret", "bad_path"),
        ("{root}/plate\n", "bad_path"),
        ("{root}/plate\x00", "bad_path"),
        ("plate", "bad_path"),
        ("/etc", "outside_roots"),
        ("{root}2", "outside_roots"),
        ("{root}/nothing", "no_such_folder"),
        ("{root}/plate/plate.HTD", "not_a_folder"),
        ("{root}/plate/plate.HTD/x", "no_such_folder"),
        ("{root}/link", "symlink"),
        ("{root}/link/ssl", "symlink"),
        ("{root}/linked", "symlink"),
        ("{root}/odd", "bad_file_name"),
        ("{root}/pipe", "not_a_file"),
        ("{root}/empty", "empty_folder"),
        ("", "invalid"),
        (7, "invalid"),
    ],
)
def test_paths_that_lead_elsewhere_are_refused(lab: Lab, root: Path, path: Any, code: str) -> None:
    (root.parent / "secret").mkdir()
    Path(f"{root}2").mkdir()
    (root / "link").symlink_to("/etc")
    (root / "linked").mkdir()
    (root / "linked" / "passwd.tif").symlink_to("/etc/passwd")
    (root / "odd").mkdir()
    (root / "odd" / "a\nb.tif").write_bytes(b"1")
    (root / "pipe").mkdir()
    os.mkfifo(root / "pipe" / "fifo")
    (root / "empty").mkdir()

    answer = register(lab, path.format(root=root) if isinstance(path, str) else path)

    assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert not SourceFile.objects.exists()


def test_nothing_can_be_registered_unless_the_settings_name_a_folder(
    lab: Lab, root: Path, settings: Any
) -> None:
    settings.TISSUEMAPS_ROOTS = []

    assert register(lab, str(root / "plate")).json()["code"] == "outside_roots"


def test_the_platforms_own_data_is_never_a_source(lab: Lab, settings: Any, data: Path) -> None:
    settings.TISSUEMAPS_ROOTS = [data.parent]
    (data / "experiments").mkdir()
    (data / "experiments" / "theirs.tif").write_bytes(b"1")

    for path in (data, data / "experiments", data.parent):
        assert register(lab, str(path)).json()["code"] == "outside_roots"


def test_a_root_may_be_each_groups_own(lab: Lab, root: Path, settings: Any) -> None:
    settings.TISSUEMAPS_ROOTS = [root / "{group}"]
    for group in ("Lab", "Others"):
        (root / group).mkdir()
        (root / group / "a.tif").write_bytes(b"1")

    assert register(lab, str(root / "Others")).json()["code"] == "outside_roots"
    assert register(lab, str(root / "Lab")).json() == {"files": 1, "bytes": 1}


def test_uploads_and_a_registered_folder_do_not_mix(lab: Lab, root: Path) -> None:
    lab.client.put(f"{lab.files}a.tif/", b"1", content_type="application/octet-stream")
    refused = register(lab, str(root / "plate"))
    lab.client.delete(f"{lab.files}a.tif/")
    register(lab, str(root / "plate"))

    upload = lab.client.put(f"{lab.files}b.tif/", b"1", content_type="image/tiff")

    assert (refused.status_code, refused.json()["code"]) == (409, "has_uploads")
    assert (upload.status_code, upload.json()["code"]) == (409, "registered")


@pytest.mark.data
def test_a_real_plate_is_registered_with_every_file(lab: Lab, settings: Any) -> None:
    folder = data_set("imagexpress_htd_3420_3433")
    settings.TISSUEMAPS_ROOTS = [folder.parent]

    answer = register(lab, str(folder))

    expected = [p for p in folder.rglob("*") if p.is_file()]
    assert answer.json() == {
        "files": len(expected),
        "bytes": sum(p.stat().st_size for p in expected),
    }


def test_a_grant_does_not_open_the_groups_folders_to_others(lab: Lab, root: Path) -> None:
    guest = UserFactory(username="guest")
    GroupFactory(name="Others", members=[guest])
    lab.client.post(f"{lab.address}access/", {"user": "guest", "level": "edit"}, format="json")
    address = f"{lab.address}acquisitions/{lab.acquisition.id}/register/"

    answer = lab.signed_in(guest).post(address, {"path": str(root / "plate")}, format="json")

    assert (answer.status_code, answer.json()["code"]) == (403, "permission_denied")
    assert not SourceFile.objects.exists()

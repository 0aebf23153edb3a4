"""What is wrong with an acquisition's pattern or microscope is said when it is made."""

from __future__ import annotations

import pytest

from gpu_workers import registry
from tests.integration.experiments.conftest import Lab


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        (r"p_(?P<well>", "no regular expression"),
        (r"p_.*\.tif", "names none of the groups well, row"),
        (r"(?P<wells>A01)", "the group(s) wells; known are well"),
        (r"(?P<row>[A-H])", "both row and column"),
        ("(?P<well>" + "x" * 600 + ")", "longer than 500"),
    ],
)
def test_a_pattern_that_can_read_no_name_is_refused(lab: Lab, pattern: str, message: str) -> None:
    body = {"plate": str(lab.plate.id), "name": "second", "pattern": pattern}

    answer = lab.client.post(f"{lab.address}acquisitions/", body, format="json")

    assert (answer.status_code, answer.json()["code"]) == (400, "bad_pattern")
    assert message in answer.json()["message"]


def test_an_unknown_microscope_is_refused_with_those_known(lab: Lab) -> None:
    body = {"plate": str(lab.plate.id), "name": "second", "microscope": "toaster"}

    answer = lab.client.post(f"{lab.address}acquisitions/", body, format="json")

    assert (answer.status_code, answer.json()["code"]) == (400, "unknown_microscope")
    assert all(name in answer.json()["message"] for name in registry.names("readers"))


def test_reader_and_pattern_can_be_changed_later(lab: Lab) -> None:
    made = lab.client.post(
        f"{lab.address}acquisitions/", {"plate": str(lab.plate.id), "name": "second"}, format="json"
    ).json()
    body = {"pattern": r"_(?P<well>[A-P]\d\d)", "microscope": "pattern"}

    answer = lab.client.patch(f"{lab.address}acquisitions/{made['id']}/", body, format="json")

    assert answer.status_code == 200, answer.json()
    assert {name: answer.json()[name] for name in body} == body


def test_a_wrong_pattern_changes_nothing(lab: Lab) -> None:
    made = lab.client.post(
        f"{lab.address}acquisitions/", {"plate": str(lab.plate.id), "name": "second"}, format="json"
    ).json()
    url = f"{lab.address}acquisitions/{made['id']}/"

    answer = lab.client.patch(url, {"name": "third", "pattern": "("}, format="json")

    assert (answer.status_code, answer.json()["code"]) == (400, "bad_pattern")
    assert lab.client.get(url).json()["name"] == "second"

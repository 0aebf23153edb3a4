"""Damaged projects of TissueMAPS before version 1: refused with a reason, never anything else."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_workers.errors import UserError
from gpu_workers.pipelines.convert import convert_project
from gpu_workers.pipelines.description import Pipeline
from tests.fuzz.mutation import CHANGES, Change, damage
from tests.fuzz.watch import examples
from tests.unit.pipelines.test_convert import USES, write

FILES = ("pipeline.yaml", *(f"handles/{name}.handles.yaml" for name in USES))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("old") / "project")


def refused(error: UserError) -> None:
    assert error.code == "invalid_project"
    assert error.message


@examples(60)
@given(file=st.sampled_from(FILES), changes=CHANGES)
def test_damaged_projects_convert_or_are_refused(
    project: Path, file: str, changes: list[Change]
) -> None:
    path = project / file
    whole = path.read_bytes()
    path.write_bytes(damage(whole, changes))
    try:
        pipeline, notes = convert_project(project)
        assert isinstance(pipeline, Pipeline)
        assert all(isinstance(note, str) for note in notes)
    except UserError as error:
        refused(error)
    finally:
        path.write_bytes(whole)

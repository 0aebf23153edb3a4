"""A workflow type of cheap real steps, and an engine that runs it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from apps.accounts.models import User
from apps.experiments.models import Experiment
from apps.workflows.selectors import types
from gpu_workers import registry
from tests.factories import ExperimentFactory, GroupFactory, UserFactory
from tests.integration.jobs.conftest import engine
from tests.integration.jobs.engine import PLUGINS, root_of

__all__ = ["engine"]

TYPE = """
sums:
  title: Sums
  help: Counts and adds.
  stages:
    - {name: counting, title: Counting, steps: [{name: count, makes: [numbers]}]}
    - {name: adding, title: Adding, steps: [{name: add, uses: [numbers], makes: [sum]}]}
"""


def _forget() -> None:
    registry._targets.cache_clear()
    registry.load.cache_clear()
    types._types.cache_clear()


@pytest.fixture(autouse=True)
def sums(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    (tmp_path / "types.yaml").write_text(TYPE)
    monkeypatch.setenv("TISSUEMAPS_PLUGINS", PLUGINS)
    monkeypatch.setenv("TISSUEMAPS_WORKFLOW_TYPES", str(tmp_path / "types.yaml"))
    _forget()
    yield
    monkeypatch.undo()
    _forget()


@pytest.fixture
def owner(transactional_db: None) -> User:
    return UserFactory(username="owner")


@pytest.fixture
def experiment(owner: User) -> Experiment:
    group = GroupFactory(members=[owner])
    experiment = ExperimentFactory(group=group, owner=owner, workflow_type="sums")
    root_of(experiment.id)
    return experiment

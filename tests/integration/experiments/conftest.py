"""What the tests of the experiments share: a data folder of their own, people, a client."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from rest_framework.test import APIClient

from apps.accounts.models import ResearchGroup, User
from apps.experiments.models import Acquisition, Experiment, Plate
from tests.factories import (
    AcquisitionFactory,
    ExperimentFactory,
    GroupFactory,
    PlateFactory,
    UserFactory,
)


@pytest.fixture(autouse=True)
def data(settings: Any, tmp_path: Path) -> Path:
    """A data folder for one test."""
    settings.TISSUEMAPS_DATA = tmp_path / "data"
    settings.TISSUEMAPS_DATA.mkdir()
    return Path(settings.TISSUEMAPS_DATA)


@dataclass
class Lab:
    """An owner, their group and experiment, and a client signed in as the owner."""

    owner: User
    group: ResearchGroup
    experiment: Experiment
    plate: Plate
    acquisition: Acquisition
    client: APIClient

    @property
    def address(self) -> str:
        return f"/api/v1/experiments/{self.experiment.id}/"

    @property
    def files(self) -> str:
        return f"{self.address}acquisitions/{self.acquisition.id}/files/"

    def signed_in(self, user: User) -> APIClient:
        client = APIClient()
        client.force_login(user)
        return client


@pytest.fixture
def lab(db: None) -> Lab:
    owner = UserFactory(username="owner")
    group = GroupFactory(name="Lab", managers=[owner])
    experiment = ExperimentFactory(group=group, owner=owner)
    plate = PlateFactory(experiment=experiment)
    client = APIClient()
    client.force_login(owner)
    return Lab(owner, group, experiment, plate, AcquisitionFactory(plate=plate), client)

"""An experiment that is served, people who may or may not see it, and the tile application."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rest_framework.test import APIClient

from apps.tiles.application import TileApplication
from tests.factories import ExperimentFactory, GroupFactory, PlateFactory, UserFactory
from tests.integration.tiles.asgi import application
from tests.integration.tiles.served import Served, serve


@pytest.fixture
def viewer(db: None) -> Any:
    return UserFactory(username="viewer")


@pytest.fixture
def stranger(db: None) -> Any:
    return UserFactory(username="stranger")


@pytest.fixture
def served(viewer: Any, tmp_path: Path, settings: Any) -> Served:
    settings.TISSUEMAPS_DATA = tmp_path
    owner = UserFactory(username="owner")
    group = GroupFactory(managers=[owner], members=[viewer])
    experiment = ExperimentFactory(group=group, owner=owner, viewer=viewer)
    return serve(experiment, PlateFactory(experiment=experiment))


@pytest.fixture
def app() -> TileApplication:
    return application()


@pytest.fixture
def client(viewer: Any) -> APIClient:
    found = APIClient()
    found.force_login(viewer)
    return found

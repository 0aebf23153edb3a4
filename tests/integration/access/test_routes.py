"""Every route, method and role: who may, who may not, and what strangers see of it (nothing)."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction
from django.urls import URLPattern, reverse
from rest_framework.test import APIClient

from tests.factories import (
    ExperimentFactory,
    GroupFactory,
    ObjectTypeFactory,
    PlateFactory,
    UserFactory,
)
from tests.integration.access.roles import ROLES, Row, World
from tissuemaps.api import urlpatterns

EXEMPT = {"schema": "describes the API, holds no data", "docs": "shows the schema"}
METHODS = ("get", "post", "put", "patch", "delete")


def _files() -> Iterator[Any]:
    for path in sorted(Path(__file__).parent.glob("rows_*.py")):
        yield import_module(f"tests.integration.access.{path.stem}")


MODULES = list(_files())
ROWS: list[Row] = [each for module in MODULES for each in module.ROWS]


@pytest.fixture
def world(db: None) -> World:
    users = {role: UserFactory(username=role) for role in ROLES[1:5]}
    users["staff"] = UserFactory(username="staff", is_staff=True)
    users["superuser"] = UserFactory(username="superuser", is_staff=True, is_superuser=True)
    group = GroupFactory(members=[users["viewer"], users["editor"]], managers=[users["owner"]])
    GroupFactory(members=[users["other_group"]])
    experiment = ExperimentFactory(
        group=group, owner=users["owner"], editor=users["editor"], viewer=users["viewer"]
    )
    world = World(
        users=users,
        group=group,
        experiment=experiment,
        plate=PlateFactory(experiment=experiment),
        object_type=ObjectTypeFactory(experiment=experiment),
    )
    world.arguments = {"experiment_id": experiment.id, "plate_id": world.plate.id}
    for module in MODULES:
        if hasattr(module, "build"):
            world.arguments |= module.build(world)
    return world


def _pattern(name: str) -> URLPattern:
    found = [pattern for pattern in urlpatterns if pattern.name == name]
    assert found, f"no route is called {name!r}"
    return found[0]


def _filled(body: Any, arguments: dict[str, object]) -> Any:
    if isinstance(body, dict):
        return {key: _filled(value, arguments) for key, value in body.items()}
    if isinstance(body, list):
        return [_filled(value, arguments) for value in body]
    if isinstance(body, str) and body.startswith("{") and body.endswith("}"):
        return str(arguments[body[1:-1]])
    return body


def _address(row: Row, world: World) -> str:
    name, _, query = row.route.partition("?")
    wanted = _pattern(name).pattern.converters
    address = reverse(name, kwargs={each: world.arguments[each] for each in wanted})
    return f"{address}?{query.format(**world.arguments)}" if query else address


def _status(row: Row, role: str, world: World) -> tuple[int, bytes]:
    """Return what a role gets; everything it changed is rolled back."""
    client = APIClient(raise_request_exception=True)
    content: dict[str, Any] = {"content_type": "application/octet-stream"}
    if not isinstance(row.body, bytes):
        content = {"format": "json"}
    with transaction.atomic():
        if role != "anonymous":
            client.force_login(world.users[role])
        send = getattr(client, row.method.lower())
        answer = send(_address(row, world), _filled(row.body, world.arguments), **content)
        transaction.set_rollback(True)
    return answer.status_code, b"" if answer.streaming else answer.content


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.method}-{row.route}")
def test_each_role_gets_what_the_table_says(row: Row, world: World) -> None:
    found = {role: _status(row, role, world) for role in ROLES}

    expected = dict(zip(ROLES, row.expected, strict=True))
    assert {role: status for role, (status, _) in found.items()} == expected, found


def test_every_route_and_method_has_a_row() -> None:
    wanted = {
        (pattern.name, method.upper())
        for pattern in urlpatterns
        if pattern.name not in EXEMPT
        for method in METHODS
        if hasattr(pattern.callback.view_class, method)
    }

    missing = wanted - {(row.route.partition("?")[0], row.method) for row in ROWS}

    assert not missing, f"no row in tests/integration/access for {sorted(missing)}"

"""The route x role table: what a row is, who the roles are, and the world they act in.

Every ``rows_<app>.py`` beside this file has a list ``ROWS`` and may have a function ``build``:

``row(method, route, body, expected)``
    - ``route``: the route's name in the API's URLs; ``"name?plate={plate_id}"`` adds a query. The
      route's own arguments are filled from the world by their names (``experiment_id``, …).
    - ``body``: JSON sent with the request, bytes sent as they are, or None; texts may hold
      ``{plate_id}`` and the like.
    - ``expected``: the status for each role, in the order of `ROLES`. Short forms: ``VIEW(200)``,
      ``EDIT(201)``, ``OWN(204)`` (what strangers and lower levels get is filled in),
      ``SIGNED_IN(200)``, ``NOBODY_ELSE(owner=204)``.

``build(world) -> dict[str, object]``
    Makes rows that the routes need and returns more arguments for the routes.

Each request of each role is rolled back. A route and method without a row fails the test.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from apps.accounts.models import ResearchGroup, User
from apps.experiments.models import Experiment, ObjectType, Plate

ROLES = ("anonymous", "other_group", "viewer", "editor", "owner", "staff", "superuser")


class Row(NamedTuple):
    """One method of one route, and what each role gets."""

    method: str
    route: str
    body: Any
    expected: tuple[int, ...]


def row(method: str, route: str, body: Any, expected: list[int]) -> Row:
    """Return a row; see the module's docstring."""
    assert len(expected) == len(ROLES), f"{method} {route}: one status for each of {ROLES}"
    return Row(method, route, body, tuple(expected))


def VIEW(status: int) -> list[int]:  # noqa: N802
    """Return what viewers and higher get, and strangers."""
    return [401, 404, status, status, status, 404, 404]


def EDIT(status: int) -> list[int]:  # noqa: N802
    """Return what editors and higher get, and lower levels and strangers."""
    return [401, 404, 403, status, status, 404, 404]


def OWN(status: int) -> list[int]:  # noqa: N802
    """Return what owners get, and lower levels and strangers."""
    return [401, 404, 403, 403, status, 404, 404]


def SIGNED_IN(status: int) -> list[int]:  # noqa: N802
    """Return what everybody with an account gets."""
    return [401] + [status] * 6


def NOBODY_ELSE(**known: int) -> list[int]:  # noqa: N802
    """Return the named roles' statuses; all others with an account find nothing."""
    return [known.get(role, 401 if role == "anonymous" else 404) for role in ROLES]


@dataclass
class World:
    """What the roles act on: an experiment of a group, with one of everything."""

    users: dict[str, User]
    group: ResearchGroup
    experiment: Experiment
    plate: Plate
    object_type: ObjectType
    arguments: dict[str, object] = field(default_factory=dict)

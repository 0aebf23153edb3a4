"""Tile sessions: a signed statement of what a user reaches, checked without the database.

Entry points: `tile_session_create` (the two cookies) and `claims_read`. A session says which access
epoch it was made under; `apps.tiles.application` refuses it once the experiment's is another.
"""

from __future__ import annotations

import base64
import hmac
import json
import time
from dataclasses import dataclass
from functools import cache
from typing import Any
from uuid import UUID

from django.conf import settings

from apps.experiments.selectors import experiment_get, reach

LIFETIME_S = 600
# One cookie per path, because a browser sends a cookie only below its path.
COOKIES = {"/tiles/": "tm_tiles", "/zarr/": "tm_zarr"}
# Browsers drop cookies above 4 kB; who reaches more parts than fit is looked up instead.
MAX_LISTED = 120


@dataclass(frozen=True, slots=True)
class Claims:
    """What a tile session states.

    Attributes
    ----------
    plates, object_types
        Hexadecimal ids that the user reaches; None: all.
    complete
        False if there are too many to list: then ask the database.
    """

    user: str
    experiment: str
    epoch: int
    expires: int
    plates: frozenset[str] | None
    object_types: frozenset[str] | None
    complete: bool = True


@dataclass(frozen=True, slots=True)
class TileSession:
    """The cookies' value, how long they live, and each one's name and path."""

    value: str
    max_age: int
    cookies: tuple[tuple[str, str], ...]


@cache
def _key() -> bytes:
    return hmac.digest(settings.SECRET_KEY.encode(), b"tissuemaps tile session 1", "sha256")


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _listed(some: Any) -> list[str] | None:
    return None if some == "all" else sorted(UUID(str(each)).hex for each in some)


def claims_sign(claims: Claims) -> str:
    """Return the text of a session: what it states, and a signature by this installation."""
    body = {
        "u": claims.user,
        "e": claims.experiment,
        "k": claims.epoch,
        "x": claims.expires,
        "p": None if claims.plates is None else sorted(claims.plates),
        "o": None if claims.object_types is None else sorted(claims.object_types),
        "c": int(claims.complete),
    }
    data = json.dumps(body, separators=(",", ":")).encode()
    return f"{_encode(data)}.{_encode(hmac.digest(_key(), data, 'sha256'))}"


def claims_read(text: str) -> Claims | None:
    """Return what a session states; None if this installation has not signed it."""
    head, _, tail = text.partition(".")
    try:
        data, signature = _decode(head), _decode(tail)
        if not hmac.compare_digest(signature, hmac.digest(_key(), data, "sha256")):
            return None
        body = json.loads(data)
        return Claims(
            user=body["u"],
            experiment=body["e"],
            epoch=body["k"],
            expires=body["x"],
            plates=None if body["p"] is None else frozenset(body["p"]),
            object_types=None if body["o"] is None else frozenset(body["o"]),
            complete=bool(body["c"]),
        )
    except (ValueError, KeyError, TypeError):
        return None


def tile_session_create(*, user: Any, experiment_id: UUID) -> TileSession:
    """Return a session for what the user reaches of an experiment; raises NotFound for nothing."""
    # The epoch is read first: a change in between makes the session refused, not too wide.
    epoch = experiment_get(user=user, experiment_id=experiment_id).access_epoch
    seen = reach(user=user, experiment_id=experiment_id)
    plates, types = _listed(seen.plates), _listed(seen.object_types)
    complete = len(plates or []) + len(types or []) <= MAX_LISTED
    nothing: frozenset[str] = frozenset()
    claims = Claims(
        user=str(user.pk),
        experiment=str(experiment_id),
        epoch=epoch,
        expires=int(time.time()) + LIFETIME_S,
        plates=(None if plates is None else frozenset(plates)) if complete else nothing,
        object_types=(None if types is None else frozenset(types)) if complete else nothing,
        complete=complete,
    )
    cookies = tuple((name, f"{prefix}{experiment_id}/") for prefix, name in COOKIES.items())
    return TileSession(claims_sign(claims), LIFETIME_S, cookies)

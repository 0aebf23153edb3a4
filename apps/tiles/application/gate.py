"""Who may have what, on every request: entry point `Gate.admit`.

A tile session (cookie) states what its user reached when it was made; it counts only while the
experiment's access epoch in PostgreSQL is still that of the session. A bearer token is looked up.
Both answers are kept for at most `FRESH_S`, so that a revocation takes effect within about a second
in every process, whether or not Valkey and its messages are there; if PostgreSQL cannot be asked,
nothing is served.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from uuid import UUID

from django.http import parse_cookie
from rest_framework.exceptions import AuthenticationFailed

from apps.core.authentication import bearer_user
from apps.tiles.application.responses import not_authenticated, not_found
from apps.tiles.application.waiting import Fresh, from_database
from apps.tiles.selectors.access import Permit, epoch_get, permit_get, permit_of
from apps.tiles.services import COOKIES, Claims, claims_read

FRESH_S = 0.9
MAX_SESSIONS = 2048
MAX_CREDENTIAL_BYTES = 8192


def _token_permit(token: str, experiment: str) -> tuple[bool, Permit | None]:
    """Return whether the token is one, and what its user reaches of the experiment."""
    try:
        user, _ = bearer_user(token)
    except AuthenticationFailed:
        return False, None
    return True, permit_get(user=user, experiment_id=UUID(experiment))


async def _ask_token(key: tuple[str, str]) -> tuple[bool, Permit | None]:
    return await from_database(_token_permit, *key)


async def _ask_epoch(key: tuple[str, str]) -> int | None:
    user, experiment = key
    return await from_database(epoch_get, user_id=UUID(user), experiment_id=UUID(experiment))


async def _ask_permit(key: tuple[str, str]) -> Permit | None:
    user, experiment = key
    return await from_database(permit_of, user_id=UUID(user), experiment_id=UUID(experiment))


class Gate:
    """Checks the credentials of requests for one experiment at a time."""

    def __init__(self) -> None:
        self._tokens: Fresh[tuple[str, str], tuple[bool, Permit | None]] = Fresh(
            _ask_token, FRESH_S
        )
        self._epochs: Fresh[tuple[str, str], int | None] = Fresh(_ask_epoch, FRESH_S)
        self._permits: Fresh[tuple[str, str], Permit | None] = Fresh(_ask_permit, FRESH_S)
        self._sessions: OrderedDict[bytes, tuple[Claims, Permit]] = OrderedDict()

    async def admit(self, headers: dict[bytes, bytes], experiment: str) -> Permit:
        """Return what the sender of a request reaches of an experiment.

        Raises
        ------
        Refusal
            401 without valid credentials, 404 if they reach nothing.
        """
        authorization = headers.get(b"authorization", b"")
        if authorization[:7].lower() == b"bearer ":
            return await self._admit_token(authorization[7:].strip(), experiment)
        cookie = headers.get(b"cookie")
        if cookie is None:
            raise not_authenticated("not_authenticated", "open a tile session or send a token")
        return await self._admit_session(cookie, experiment)

    async def _admit_token(self, token: bytes, experiment: str) -> Permit:
        if not token.isascii() or len(token) > MAX_CREDENTIAL_BYTES:
            raise not_authenticated("authentication_failed", "the token is not valid")
        valid, permit = await self._tokens.get((token.decode("ascii"), experiment))
        if not valid:
            raise not_authenticated("authentication_failed", "the token is not valid")
        if permit is None:
            raise not_found()
        return permit

    async def _admit_session(self, cookie: bytes, experiment: str) -> Permit:
        claims, permit = self._session(cookie)
        if claims.experiment != experiment or claims.expires < time.time():
            raise not_authenticated("session_expired", "the tile session has ended: open a new one")
        key = (claims.user, experiment)
        known = self._epochs.peek(key)
        epoch = await self._epochs.get(key) if known is None else known[0]
        if epoch != claims.epoch:
            raise not_authenticated("session_expired", "access has changed: open a new session")
        if not claims.complete:
            found = await self._permits.get(key)
            if found is None:
                raise not_found()
            return found
        return permit

    def _session(self, cookie: bytes) -> tuple[Claims, Permit]:
        """Return what a Cookie header states; verified once, then remembered by its text."""
        known = self._sessions.get(cookie)
        if known is not None:
            return known
        claims = None
        if len(cookie) <= MAX_CREDENTIAL_BYTES:
            sent = parse_cookie(cookie.decode("latin-1"))
            text = next((sent[name] for name in COOKIES.values() if name in sent), "")
            claims = claims_read(text)
        if claims is None:
            raise not_authenticated("not_authenticated", "open a tile session or send a token")
        known = (claims, Permit(claims.plates, claims.object_types))
        self._sessions[cookie] = known
        if len(self._sessions) > MAX_SESSIONS:
            self._sessions.popitem(last=False)
        return known

"""The WebSocket of an experiment: numbered events, progress, tailed logs.

A browser comes with its session cookie (its Origin must be ours), a program with a bearer token in
the header or as its first message. Access is asked for again when the experiment's epoch moves.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import parse_qs, urlparse
from uuid import UUID

import redis.asyncio
from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings
from django.contrib.auth import get_user
from django.db import Error
from django.http.request import validate_host
from django.urls import path
from rest_framework.exceptions import APIException

from apps.core.authentication import bearer_user
from apps.core.errors import ApplicationError, NotFound
from apps.core.realtime import group_name
from apps.core.valkey import EPOCHS_CHANNEL
from apps.workflows import selectors

if TYPE_CHECKING:
    from apps.accounts.models import User

logger = logging.getLogger(__name__)

TOKEN_S = 10.0
TAIL_S = 0.5
RECHECK_S = 30.0
REFUSED, REVOKED, BAD_MESSAGE = 4401, 4403, 4400


class EpochWatch:
    """One subscription per event loop to changes of access; wakes the sockets they concern."""

    def __init__(self) -> None:
        self._waiting: dict[str, set[asyncio.Event]] = {}
        self._task: asyncio.Task[None] | None = None

    def join(self, experiment: str, event: asyncio.Event) -> None:
        """Set `event` at each change of the experiment's access."""
        self._waiting.setdefault(experiment, set()).add(event)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._listen())

    def leave(self, experiment: str, event: asyncio.Event) -> None:
        """Forget an event; the last one ends the subscription."""
        self._waiting.get(experiment, set()).discard(event)
        if not self._waiting.get(experiment):
            self._waiting.pop(experiment, None)
        if not self._waiting and self._task is not None:
            self._task.cancel()
            self._task = None

    async def _listen(self) -> None:
        while True:
            client = redis.asyncio.Redis.from_url(settings.REDIS_URL)
            try:
                async with client.pubsub() as pubsub:
                    await pubsub.subscribe(EPOCHS_CHANNEL)
                    async for message in pubsub.listen():
                        if message["type"] == "message":
                            self._wake(bytes(message["data"]).decode().partition(":")[0])
            except redis.RedisError:
                logger.warning("changes of access are asked for every %d s only", RECHECK_S)
                await asyncio.sleep(1.0)
            finally:
                await client.aclose()

    def _wake(self, experiment: str) -> None:
        for event in self._waiting.get(experiment, set()):
            event.set()


_watches: dict[int, EpochWatch] = {}


def _watch() -> EpochWatch:
    return _watches.setdefault(id(asyncio.get_running_loop()), EpochWatch())


def _origin_is_ours(headers: dict[bytes, bytes]) -> bool:
    """Return whether a browser's request comes from a page of this site."""
    origin = headers.get(b"origin", b"").decode("latin-1")
    host = headers.get(b"host", b"").decode("latin-1")
    parts = urlparse(origin)
    if origin in settings.CSRF_TRUSTED_ORIGINS:
        return True
    allowed = settings.ALLOWED_HOSTS
    return (
        bool(parts.netloc) and parts.netloc == host and validate_host(parts.hostname or "", allowed)
    )


class ExperimentConsumer(AsyncWebsocketConsumer):  # type: ignore[misc]
    """Tells one client what happens in one experiment."""

    async def connect(self) -> None:
        """Let a signed-in browser or a bearer token in; wait for a token message otherwise."""
        self.experiment: UUID = self.scope["url_route"]["kwargs"]["experiment_id"]
        self.user: Any = None
        self._token: str | None = None
        self._sent = 0
        self._whole = False
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._moved = asyncio.Event()
        headers = dict(self.scope["headers"])
        bearer = headers.get(b"authorization", b"").decode("latin-1")
        session = self.scope.get("user")
        await self.accept()
        if bearer.startswith("Bearer "):
            await self._enter_with(bearer.removeprefix("Bearer ").strip())
        elif session is not None and session.is_authenticated and _origin_is_ours(headers):
            self.user = session
            await self._enter()
        else:
            self._start("token", self._expire())

    async def disconnect(self, code: int) -> None:  # noqa: ARG002
        """Forget the client."""
        for task in self._tasks.values():
            task.cancel()
        if self.user is not None:
            _watch().leave(str(self.experiment), self._moved)
            await self.channel_layer.group_discard(group_name(self.experiment), self.channel_name)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:  # noqa: ARG002
        """Take the token, or a request to follow a log."""
        try:
            message = json.loads(text_data or "")
            kind = message["type"]
        except (ValueError, KeyError, TypeError):
            await self.close(BAD_MESSAGE)
            return
        if self.user is None:
            if kind == "token":
                await self._enter_with(str(message.get("token", "")))
            else:
                await self.close(REFUSED)
        elif kind == "log.follow":
            await self._follow(message)
        elif kind == "log.stop":
            self._stop("log")

    async def experiment_message(self, event: dict[str, Any]) -> None:
        """Pass a message of the experiment's group on; events that were sent already are not.

        Who sees only parts of the experiment hears only what names nothing of the rest.
        """
        message = event["message"]
        if message["type"] == "events":
            if message["to"] <= self._sent:
                return
            self._sent = message["to"]
            if not self._whole:
                told = [e for e in message["events"] if e["kind"] in selectors.PART_KINDS]
                message = {**message, "events": told}
        elif not self._whole:
            return
        await self._say(message)

    async def _say(self, message: dict[str, Any]) -> None:
        await self.send(text_data=json.dumps(message, default=str))

    async def _enter_with(self, token: str) -> None:
        try:
            self.user, _ = await database_sync_to_async(bearer_user)(token)
        except APIException:
            await self._refuse()
            return
        self._token = token
        await self._enter()

    async def _enter(self) -> None:
        self._stop("token")
        if not await self._may_see():
            self.user = None
            await self._refuse()
            return
        await self.channel_layer.group_add(group_name(self.experiment), self.channel_name)
        _watch().join(str(self.experiment), self._moved)
        self._start("access", self._guard())
        await self._replay()

    async def _refuse(self) -> None:
        await self._say({"type": "closed", "code": "not_allowed"})
        await self.close(REFUSED)

    async def _expire(self) -> None:
        await asyncio.sleep(TOKEN_S)
        await self._refuse()

    async def _replay(self) -> None:
        """Send what happened after the number the client names; it joined the group before."""
        query = parse_qs(self.scope["query_string"].decode("latin-1"))
        text = query.get("after", [""])[0]
        after = int(text) if text.isdecimal() and len(text) < 19 else None
        look = database_sync_to_async(selectors.event_list)
        events, newest = await look(
            user=self.user,
            experiment_id=self.experiment,
            after=2**62 if after is None else after,
        )
        rows = [{"sequence": e.sequence, "kind": e.kind, "payload": e.payload} for e in events]
        first = rows[0]["sequence"] if rows else newest + 1
        # A page that is not full reaches to the newest, whatever the user was not told.
        last = rows[-1]["sequence"] if rows else newest
        last = last if len(rows) >= selectors.EVENTS else max(last, newest)
        self._sent = max(self._sent, last)
        await self._say({"type": "events", "from": first, "to": last, "events": rows})

    @database_sync_to_async  # type: ignore[untyped-decorator]
    def _may_see(self) -> bool:
        try:
            if self._token is not None:
                user, _ = bearer_user(self._token)
            else:
                user = self._signed_in()
            self._whole = selectors.sees_whole(user=user, experiment_id=self.experiment)
        except (APIException, ApplicationError):
            return False
        self.user = user
        return True

    def _signed_in(self) -> User:
        """Return the browser's user as they are now; raises NotFound after a log-out."""
        session = self.scope.get("session")
        if session is not None:
            fresh = SimpleNamespace(session=session.__class__(session.session_key))
            if get_user(cast("Any", fresh)).pk != self.user.pk:
                raise NotFound("the session has ended")
        return selectors.person_get(user_id=self.user.pk)

    async def _guard(self) -> None:
        """Close the socket when access is gone: at once when it is taken, else within 30 s."""
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._moved.wait(), RECHECK_S)
            self._moved.clear()
            try:
                allowed = await self._may_see()
            except Error:
                logger.warning(
                    "access could not be asked for; it is asked for again", exc_info=True
                )
                await asyncio.sleep(1.0)
                self._moved.set()
                continue
            if not allowed:
                await self._say({"type": "closed", "code": "access_revoked"})
                await self.close(REVOKED)
                return

    async def _follow(self, message: dict[str, Any]) -> None:
        self._stop("log")
        try:
            job, after = UUID(str(message["job"])), max(0, int(message.get("after", 0)))
        except (KeyError, ValueError, TypeError, OverflowError):
            await self.close(BAD_MESSAGE)
            return
        self._start("log", self._tail(job, after))

    async def _tail(self, job: UUID, after: int) -> None:
        read = database_sync_to_async(selectors.job_log)
        first = True
        while True:
            try:
                piece = await read(
                    user=self.user, experiment_id=self.experiment, job_id=job, after=after
                )
            except ApplicationError as error:
                await self._say({"type": "log", "job": str(job), "error": error.code})
                return
            if piece["text"] or piece["complete"] or first:
                answer = {"type": "log", "job": str(job), "after": after, "text": piece["text"]}
                await self._say({**answer, "next": piece["next"], "complete": piece["complete"]})
            first, after = False, piece["next"]
            if piece["complete"]:
                return
            await asyncio.sleep(TAIL_S)

    def _start(self, name: str, work: Any) -> None:
        self._tasks[name] = asyncio.create_task(work)

    def _stop(self, name: str) -> None:
        task = self._tasks.pop(name, None)
        if task is not None and task is not asyncio.current_task():
            task.cancel()


routes = [path("ws/v1/experiments/<uuid:experiment_id>/", ExperimentConsumer.as_asgi())]

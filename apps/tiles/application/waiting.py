"""What may wait (database, disk, encoding) is done on threads, and its answers are kept for a second."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Generic, ParamSpec, TypeVar

from django.db import connections

P = ParamSpec("P")
R = TypeVar("R")
K = TypeVar("K")
V = TypeVar("V")

THREADS = 8
_pool = ThreadPoolExecutor(THREADS, thread_name_prefix="tiles")


async def on_thread(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call a function that may block on one of the tile application's threads."""
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(_pool, partial(function, *args, **kwargs))


def _closing(function: Callable[[], R]) -> R:
    try:
        return function()
    finally:
        connections.close_all()


async def from_database(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call a selector on a thread, which gives its connection back afterwards."""
    return await on_thread(_closing, partial(function, *args, **kwargs))


class Fresh(Generic[K, V]):
    """Answers that are at most `seconds` old; many who ask at once wait for one question.

    A failed question is not remembered. Only for use from one event loop.
    """

    def __init__(self, load: Callable[[K], Awaitable[V]], seconds: float, maxsize: int = 4096):
        self._load = load
        self._seconds = seconds
        self._maxsize = maxsize
        self._known: dict[K, tuple[float, V]] = {}
        self._asking: dict[K, asyncio.Task[V]] = {}

    def peek(self, key: K) -> tuple[V] | None:
        """Return the answer in a tuple if it is fresh."""
        found = self._known.get(key)
        return None if found is None or found[0] < time.monotonic() else (found[1],)

    async def get(self, key: K) -> V:
        """Return a fresh answer, asked for now if need be."""
        found = self.peek(key)
        if found is not None:
            return found[0]
        task = self._asking.get(key)
        if task is None:
            task = self._asking[key] = asyncio.ensure_future(self._ask(key))
            task.add_done_callback(lambda _: self._asking.pop(key, None))
        return await asyncio.shield(task)

    async def _ask(self, key: K) -> V:
        # The age counts from before the question, so that an answer never looks younger than it is.
        asked = time.monotonic()
        value = await self._load(key)
        if len(self._known) >= self._maxsize:
            self._forget_old()
        self._known[key] = (asked + self._seconds, value)
        return value

    def _forget_old(self) -> None:
        now = time.monotonic()
        kept: dict[Any, tuple[float, Any]] = {k: v for k, v in self._known.items() if v[0] >= now}
        self._known = kept if len(kept) < self._maxsize else {}

"""The queue: broker, the only `actor` decorator, keys and signatures shared with control.

Entry points: `send` (control puts an attempt on a queue), `actor` (workers), `client` (Valkey).
dramatiq's own redelivery is only a safety net here: leases and attempts decide what runs again.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import threading
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any
from uuid import UUID

import dramatiq
import redis
from dramatiq.broker import Consumer, MessageProxy
from dramatiq.brokers.redis import RedisBroker
from dramatiq.errors import ConnectionClosed
from dramatiq.middleware import Retries, TimeLimit

QUEUES = ("cpu", "gpu", "interactive")
EVENTS = "tm:events"
WAKE_CONTROL = "tm:wake"
WORKERS = "tm:workers"
LEASE_MS = 12_000
RENEW_S = 3.0
CLAIM_TTL_S = 8 * 24 * 3600
HEARTBEAT_MS = 60_000
DAY_MS = 24 * 3600 * 1000
TOKENS = 50


def lease_key(job: UUID | str, attempt: int) -> str:
    """Key that lives while a worker works on an attempt."""
    return f"lease:{job}:{attempt}"


def cancel_key(job: UUID | str, attempt: int) -> str:
    """Key whose presence tells a worker to drop an attempt."""
    return f"cancel:{job}:{attempt}"


def claim_key(job: UUID | str, attempt: int) -> str:
    """Key that outlives the lease: an attempt is taken once, ever."""
    return f"claim:{job}:{attempt}"


def progress_key(job: UUID | str) -> str:
    """Hash with the fraction and the message of a running job."""
    return f"progress:{job}"


def worker_key(worker: str) -> str:
    """Key under which a worker announces queues, slots, host and process."""
    return f"worker:{worker}"


def wake_key(queue: str) -> str:
    """List on which idle consumers of a queue block."""
    return f"wake:{queue}"


def sign(secret: str, job: UUID | str, attempt: int, sequence: int, kind: str, payload: str) -> str:
    """Return the signature of an event: HMAC-SHA256 under the attempt's secret."""
    text = f"{job}|{attempt}|{sequence}|{kind}|{payload}"
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()


def event_fields(
    secret: str, job: UUID | str, attempt: int, sequence: int, kind: str, payload: dict[str, Any]
) -> dict[str, str]:
    """Return the fields of one signed event of the stream `EVENTS`."""
    text = json.dumps(payload, separators=(",", ":"), default=str)
    return {
        "job": str(job),
        "attempt": str(attempt),
        "sequence": str(sequence),
        "kind": kind,
        "payload": text,
        "signature": sign(secret, job, attempt, sequence, kind, text),
    }


def redis_url() -> str:
    """Return the address of Valkey from the environment."""
    return os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0")


@cache
def client() -> redis.Redis:
    """Return this process's Valkey client; a call that hangs for 5 s raises."""
    return redis.Redis.from_url(redis_url(), socket_timeout=5, socket_connect_timeout=5)


class WakingConsumer(Consumer):
    """Takes messages of one queue; blocks on its wake list, so an idle worker starts within ms."""

    def __init__(self, broker: QueueBroker, queue: str, prefetch: int, timeout_ms: int):
        self._broker = broker
        self._queue = queue
        self._prefetch = prefetch
        self._timeout_s = max(timeout_ms / 1000, 0.1)
        self._fetched: list[bytes] = []
        self._held: set[str] = set()
        self._room = threading.Event()

    def ack(self, message: MessageProxy) -> None:
        """Forget a message that was handled."""
        self._settle("ack", message)

    def nack(self, message: MessageProxy) -> None:
        """Put a message whose handling raised among the dead ones."""
        self._settle("nack", message)

    def _settle(self, command: str, message: MessageProxy) -> None:
        try:
            getattr(self._broker, f"do_{command}")(self._queue, message.options["redis_message_id"])
        except (redis.ConnectionError, redis.TimeoutError) as error:
            raise ConnectionClosed(error) from None  # type: ignore[no-untyped-call]
        finally:
            self._held.discard(message.message_id)
            self._room.set()

    def requeue(self, messages: Iterable[MessageProxy]) -> None:
        """Give messages back that were not begun."""
        identifiers = [message.options["redis_message_id"] for message in messages]
        if identifiers:
            self._broker.do_requeue(self._queue, *identifiers)
            self._broker.wake(self._queue)

    def __next__(self) -> MessageProxy | None:
        try:
            return self._next()
        except (redis.ConnectionError, redis.TimeoutError) as error:
            raise ConnectionClosed(error) from None  # type: ignore[no-untyped-call]

    def _next(self) -> MessageProxy | None:
        if not self._fetched:
            room = self._prefetch - len(self._held)
            if room <= 0:
                self._room.wait(self._timeout_s)
                self._room.clear()
                return None
            self._fetched = [m for m in self._broker.do_fetch(self._queue, room) if m is not None]
        if not self._fetched:
            self._broker.blocking.blpop([wake_key(self._queue)], timeout=self._timeout_s)
            return None
        message = dramatiq.Message.decode(self._fetched.pop(0))
        self._held.add(message.message_id)
        return MessageProxy(message)


class QueueBroker(RedisBroker):
    """dramatiq's Redis broker with wake-up lists and message ids chosen by the sender."""

    def __init__(self, url: str):
        middleware = [TimeLimit(time_limit=14 * DAY_MS), Retries(max_retries=0)]
        super().__init__(  # type: ignore[no-untyped-call]
            url=url, middleware=middleware, heartbeat_timeout=HEARTBEAT_MS
        )
        self.blocking = redis.Redis.from_url(url)

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 1000) -> Consumer:
        """Return a consumer that blocks at most `timeout` ms while the queue is empty."""
        return WakingConsumer(self, queue_name, prefetch, timeout)

    def wake(self, queue: str) -> None:
        """Wake one idle consumer of a queue; tokens nobody needs are dropped."""
        with self.client.pipeline(transaction=False) as pipe:
            pipe.rpush(wake_key(queue), 1)
            pipe.ltrim(wake_key(queue), -TOKENS, -1)
            pipe.expire(wake_key(queue), 60)
            pipe.execute()


@cache
def queue_broker(queue: str) -> QueueBroker:  # noqa: ARG001
    """Return this process's broker of one queue.

    Queues share nothing in a worker, so that one's jobs never take another's slots.
    """
    return QueueBroker(redis_url())


def actor(
    *, queue: str, time_limit_s: int, max_retries: int
) -> Callable[[Callable[..., None]], Any]:
    """Declare a dramatiq actor; queue, time limit and retries must be said, never assumed."""
    return dramatiq.actor(
        broker=queue_broker(queue),
        queue_name=queue,
        time_limit=time_limit_s * 1000,
        max_retries=max_retries,
    )


def actor_name(queue: str) -> str:
    """Name of the one actor of a queue."""
    return f"run_{queue}"


def send(queue: str, messages: dict[str, dict[str, Any]]) -> None:
    """Put attempts on a queue in one go, under ids that the sender has already written down.

    Writes the keys that dramatiq's own enqueue writes: a hash of messages and a list of ids.
    """
    if not messages:
        return
    broker = queue_broker(queue)
    name = f"{broker.namespace}:{queue}"
    with broker.client.pipeline(transaction=True) as pipe:
        for message_id, payload in messages.items():
            message: dramatiq.Message[None] = dramatiq.Message(
                queue_name=queue,
                actor_name=actor_name(queue),
                args=(),
                kwargs=payload,
                options={"redis_message_id": message_id},
                message_id=message_id,
            )
            pipe.hset(f"{name}.msgs", message_id, message.encode().decode())
        pipe.rpush(name, *messages)
        pipe.rpush(wake_key(queue), *[1] * min(len(messages), TOKENS))
        pipe.ltrim(wake_key(queue), -TOKENS, -1)
        pipe.expire(wake_key(queue), 60)
        pipe.execute()


def wake_control() -> None:
    """Make the control loop look at once; never raises, the loop also ticks by itself."""
    try:
        client().xadd(WAKE_CONTROL, {"at": "now"}, maxlen=100, approximate=True)
    except redis.RedisError:
        return

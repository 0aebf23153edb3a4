"""Leases in Valkey: who is at which attempt. Each change is one script, so it happens whole."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import cache
from typing import Any

import redis

from gpu_workers import broker

logger = logging.getLogger(__name__)

# An attempt is claimed once, ever: a message that is delivered again finds the claim.
_CLAIM = """
local why = redis.call('GET', KEYS[1])
if why then return why end
if not redis.call('SET', KEYS[2], ARGV[1], 'NX', 'EX', ARGV[3]) then return 'taken' end
redis.call('SET', KEYS[3], ARGV[1], 'PX', ARGV[2])
redis.call('XADD', KEYS[4], '*', unpack(ARGV, 4))
return 'ok'
"""
_CHECK = """
local why = redis.call('GET', KEYS[1])
if why then return why end
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 'lost' end
if ARGV[2] ~= '0' then redis.call('PEXPIRE', KEYS[2], ARGV[2]) end
return 'ok'
"""
# The report and the end of the lease are one step: control never sees neither.
_FINISH = """
redis.call('XADD', KEYS[1], '*', unpack(ARGV, 2))
if redis.call('GET', KEYS[2]) == ARGV[1] then redis.call('DEL', KEYS[2]) end
redis.call('DEL', KEYS[3])
return 'ok'
"""


@cache
def _script(text: str) -> Any:
    return broker.client().register_script(text)


def _flat(fields: dict[str, str]) -> list[str]:
    return [part for pair in fields.items() for part in pair]


def _text(answer: object) -> str:
    return answer.decode() if isinstance(answer, bytes) else str(answer)


def claim(job: str, attempt: int, worker: str, secret: str) -> str:
    """Take an attempt and report it; returns "ok", or why not ("taken", "killed", "superseded")."""
    fields = broker.event_fields(secret, job, attempt, 1, "claimed", {"worker": worker})
    keys = [
        broker.cancel_key(job, attempt),
        broker.claim_key(job, attempt),
        broker.lease_key(job, attempt),
        broker.EVENTS,
    ]
    arguments = [worker, broker.LEASE_MS, broker.CLAIM_TTL_S, *_flat(fields)]
    return _text(_script(_CLAIM)(keys=keys, args=arguments))


def check(job: str, attempt: int, worker: str, *, renew: bool) -> str:
    """Return "ok" while this worker holds the attempt, else why not; `renew` prolongs the lease."""
    keys = [broker.cancel_key(job, attempt), broker.lease_key(job, attempt)]
    arguments = [worker, broker.LEASE_MS if renew else 0]
    return _text(_script(_CHECK)(keys=keys, args=arguments))


def finish(
    job: str,
    attempt: int,
    worker: str,
    secret: str,
    payload: dict[str, Any],
    give_up: Callable[[], bool],
) -> None:
    """Report the end of an attempt and give up its lease; tries for 10 minutes without Valkey.

    If that fails the lease runs out and the job runs again.
    """
    fields = broker.event_fields(secret, job, attempt, 2, "ended", payload)
    keys = [broker.EVENTS, broker.lease_key(job, attempt), broker.progress_key(job)]
    deadline = time.monotonic() + 600
    while True:
        try:
            _script(_FINISH)(keys=keys, args=[worker, *_flat(fields)])
        except redis.RedisError as error:
            if give_up() or time.monotonic() > deadline:
                logger.error("the end of job %s could not be reported: %s", job, error)
                return
            time.sleep(1.0)
        else:
            return


def progress(job: str, fraction: float, message: str) -> None:
    """Note how far a job is; forgotten an hour after the last word."""
    with broker.client().pipeline(transaction=False) as pipe:
        pipe.hset(broker.progress_key(job), mapping={"fraction": fraction, "message": message})
        pipe.expire(broker.progress_key(job), 3600)
        pipe.execute()

"""The worker process: one dramatiq actor per queue. Entry point: `run_worker` (blocks).

A worker announces itself every 3 s (``worker:<id>``), so that control sends only what it can take.
"""

from __future__ import annotations

import json
import logging
import os
import queue as queues_
import secrets
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import redis
from dramatiq.worker import Worker

from gpu_workers import broker
from gpu_workers.broker import actor, queue_broker
from gpu_workers.runner.code_version import code_version
from gpu_workers.runner.parent import Assignment, Slot

logger = logging.getLogger(__name__)

ANNOUNCE_S = 3.0
ANNOUNCE_TTL_S = 15
# The runner ends a job at its own limit; dramatiq's is only there to be finite.
TIME_LIMIT_S = 14 * 24 * 3600

_free: dict[str, queues_.SimpleQueue[Slot]] = {
    name: queues_.SimpleQueue() for name in broker.QUEUES
}


def _work(queue: str, message: dict[str, Any]) -> None:
    slot = _free[queue].get()
    try:
        slot.work(Assignment(**message))
    finally:
        _free[queue].put(slot)


@actor(queue="cpu", time_limit_s=TIME_LIMIT_S, max_retries=0)
def run_cpu(**message: Any) -> None:
    """Do one attempt on the processor."""
    _work("cpu", message)


@actor(queue="gpu", time_limit_s=TIME_LIMIT_S, max_retries=0)
def run_gpu(**message: Any) -> None:
    """Do one attempt that uses a graphics card."""
    _work("gpu", message)


@actor(queue="interactive", time_limit_s=TIME_LIMIT_S, max_retries=0)
def run_interactive(**message: Any) -> None:
    """Do one attempt that somebody is waiting for."""
    _work("interactive", message)


def slots_of(queues: list[str], slots: int) -> dict[str, int]:
    """Return slots per queue: `slots` for bulk queues, half as many of their own for interactive.

    Raises
    ------
    ValueError
        A queue is not known, none is named, or there is no slot.
    """
    unknown = sorted(set(queues) - set(broker.QUEUES))
    if unknown or not queues or slots < 1:
        known = ", ".join(broker.QUEUES)
        raise ValueError(f"name queues among {known} and at least one slot, not {queues}, {slots}")
    return {name: max(1, slots // 2) if name == "interactive" else slots for name in queues}


class _Announcer(threading.Thread):
    """Says every 3 s that this worker lives; takes itself off the list at the end."""

    def __init__(self, worker: str, slots: dict[str, int], stopping: threading.Event):
        super().__init__(name="announcer", daemon=True)
        self._worker = worker
        self._stopping = stopping
        self._text = json.dumps(
            {
                "id": worker,
                "host": socket.gethostname(),
                "pid": os.getpid(),
                "brokers": {queue: queue_broker(queue).broker_id for queue in slots},
                "slots": slots,
                "code_version": code_version(),
                "started_at": time.time(),
            }
        )

    def run(self) -> None:
        while not self._stopping.is_set():
            self._announce()
            self._stopping.wait(ANNOUNCE_S)
        try:
            broker.client().zrem(broker.WORKERS, self._worker)
            broker.client().delete(broker.worker_key(self._worker))
        except redis.RedisError as error:
            logger.warning("the worker could not sign off: %s", error)

    def _announce(self) -> None:
        try:
            with broker.client().pipeline(transaction=False) as pipe:
                pipe.set(broker.worker_key(self._worker), self._text, ex=ANNOUNCE_TTL_S)
                pipe.zadd(broker.WORKERS, {self._worker: time.time()})
                pipe.execute()
            broker.wake_control()
        except redis.RedisError as error:
            logger.warning("the worker could not announce itself: %s", error)


def _data() -> Path:
    folder = os.environ.get("TISSUEMAPS_DATA")
    if not folder:
        raise SystemExit("TISSUEMAPS_DATA does not name the folder of the experiments' data")
    return Path(folder).resolve()


def _prepare(worker: str, slots: dict[str, int], stopping: threading.Event) -> list[Slot]:
    spawner = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spawner")
    made: list[Slot] = []
    for name, number in slots.items():
        for _ in range(number):
            slot = Slot(worker, _data(), spawner, stopping)
            slot.warm()
            _free[name].put(slot)
            made.append(slot)
    return made


def run_worker(queues: list[str], slots: int = 1, stop: threading.Event | None = None) -> None:
    """Serve queues until SIGTERM, SIGINT or `stop`; running jobs are killed and run again elsewhere.

    Raises
    ------
    ValueError
        See `slots_of`.
    """
    per_queue = slots_of(queues, slots)
    stopping = stop or threading.Event()
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stopping.set())
    name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
    made = _prepare(name, per_queue, stopping)
    workers = []
    for queue, places in per_queue.items():
        own = queue_broker(queue)
        own.emit_after("process_boot")
        worker = Worker(own, worker_threads=places, worker_timeout=1000)
        worker.queue_prefetch = places
        worker.start()
        workers.append(worker)
    announcer = _Announcer(name, per_queue, stopping)
    announcer.start()
    logger.info("worker %s serves %s", name, per_queue)
    try:
        while not stopping.wait(1.0):
            pass
    finally:
        stopping.set()
        announcer.join(5)
        for worker in workers:
            worker.stop(timeout=20_000)
        for slot in made:
            slot.close()
    logger.info("worker %s has stopped", name)

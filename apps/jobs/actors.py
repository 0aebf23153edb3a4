"""The control process: `run_control` blocks until SIGTERM. Several may run; one acts at a time."""

from __future__ import annotations

import logging
import signal
import threading

import redis
from django.db import Error, close_old_connections, connections

from apps.jobs.services.control import Control

logger = logging.getLogger(__name__)

TICK_S = 0.25


def run_control(tick_s: float = TICK_S, stop: threading.Event | None = None) -> None:
    """Run the control loop until SIGTERM, SIGINT or `stop`; outlives lost databases and queues."""
    stop = stop or threading.Event()
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
    control: Control | None = None
    while not stop.is_set():
        try:
            control = control or Control()
            control.tick()
            control.wait(tick_s)
        except (redis.RedisError, Error) as error:
            logger.warning("control waits for the database or the queue: %s", error)
            close_old_connections()
            stop.wait(1.0)
        except Exception:
            logger.exception("a turn of control failed")
            stop.wait(1.0)
    connections.close_all()

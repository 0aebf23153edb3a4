"""``./run doctor``: whether everything is here that the platform needs, and works."""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from tissuemaps.embedded.errors import StartError
from tissuemaps.embedded.platform import environment_of_running, run_django, services
from tissuemaps.embedded.state import CHECKOUT, State, locate

MEGABYTE = 2**20


def _installation(_env: dict[str, str]) -> str:
    from gpu_workers import registry

    entries = ", ".join(
        f"{len(registry.names(f))} {f}" for f in ("steps", "readers", "modules", "tools")
    )
    try:
        own = version("tissuemaps")
    except PackageNotFoundError:
        own = "not installed (source tree only)"
    return f"tissuemaps {own}, Python {sys.version.split()[0]}, {entries}"


def _front_end(_env: dict[str, str]) -> str:
    if not (CHECKOUT / "tissuemaps" / "static" / "app" / "main.js").is_file():
        raise StartError("not built; `./run up` builds it")
    return "built"


def _storage(env: dict[str, str]) -> str:
    """Write, sync and read back 64 MB in the data folder."""
    folder = Path(env["TISSUEMAPS_DATA"])
    block = os.urandom(MEGABYTE)
    started = time.monotonic()
    with tempfile.TemporaryFile(dir=folder) as stream:
        for _ in range(64):
            stream.write(block)
        stream.flush()
        os.fsync(stream.fileno())
        written = time.monotonic() - started
        stream.seek(0)
        if any(stream.read(MEGABYTE) != block for _ in range(64)):
            raise StartError(f"what was written in {folder} reads back differently")
    free = shutil.disk_usage(folder).free // MEGABYTE
    if free < 2000:
        raise StartError(f"{folder} has only {free} MB left")
    return f"{folder}: {64 / written:.0f} MB/s written, {free / 1024:.0f} GB free"


def _database(env: dict[str, str]) -> str:
    import psycopg

    # The address names no host where the server is ours: its socket folder stands beside it.
    host = env.get("DATABASE_SOCKET") or None
    with psycopg.connect(env["DATABASE_URL"], connect_timeout=5, host=host) as connection:
        row = connection.execute("SELECT current_setting('server_version'), upper('é')").fetchone()
    assert row is not None
    if row[1] != "É":
        raise StartError(
            "the database's locale does not know letters beyond ASCII; make it with C.UTF-8"
        )
    run_django(["migrate", "--check", "-v0"], env)
    return f"PostgreSQL {row[0]}, migrations applied"


def _queue(env: dict[str, str]) -> str:
    """Send a message through the queue's server and take it out again."""
    import redis

    name = f"doctor:{os.getpid()}"
    with redis.Redis.from_url(env["REDIS_URL"], socket_timeout=10) as client:
        started = time.monotonic()
        client.lpush(name, b"ping")
        answer = client.brpop([name], timeout=5)
        seconds = time.monotonic() - started
        persistent = client.config_get("appendonly").get("appendonly")
    if not isinstance(answer, (list, tuple)) or answer[1] != b"ping":
        raise StartError("a message that was queued did not come back")
    return f"round trip {seconds * 1000:.1f} ms, append-only file {persistent}"


def _gpu(_env: dict[str, str]) -> str:
    if find_spec("cupy") is None:
        return "cupy is not installed; work runs on the CPU"
    import cupy

    if not cupy.cuda.is_available():
        return "no CUDA device; work runs on the CPU"
    import numpy as np

    sample = np.random.default_rng(0).random((512, 512), dtype=np.float32)
    difference = float(
        np.abs(np.fft.fft2(sample) - cupy.asnumpy(cupy.fft.fft2(cupy.asarray(sample)))).max()
    )
    if difference > 1e-1:
        raise StartError(f"CPU and GPU disagree by {difference:.3g} on a Fourier transform")
    name = cupy.cuda.runtime.getDeviceProperties(0)["name"].decode()
    return f"{name}; agrees with the CPU"


CHECKS: tuple[tuple[str, Callable[[dict[str, str]], str]], ...] = (
    ("installation", _installation),
    ("front end", _front_end),
    ("storage", _storage),
    ("database", _database),
    ("queue", _queue),
    ("gpu", _gpu),
)


@contextlib.contextmanager
def _environment(state: State) -> Iterator[dict[str, str]]:
    """Yield the environment of the running platform, else of services started for the check."""
    env = environment_of_running(state)
    if env is not None:
        yield env
        return
    with services(state) as (_, env):
        run_django(["migrate", "--noinput", "-v0"], env)
        yield env


def doctor(_arguments: argparse.Namespace) -> int:
    """Run every check; the exit code is 1 where one fails."""
    failed = 0
    with _environment(locate()) as env:
        for name, check in CHECKS:
            try:
                text = f"ok      {check(env)}"
            except Exception as error:  # noqa: BLE001  each failure is a line of the report
                failed += 1
                text = (
                    f"FAILED  {str(error).splitlines()[0] if str(error) else type(error).__name__}"
                )
            print(f"{name:<13} {text}", flush=True)
    return 1 if failed else 0

"""The whole platform on one machine: services, web, control, workers. Entry point: `running`."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from tissuemaps.embedded.errors import StartError
from tissuemaps.embedded.services import environment, start_services
from tissuemaps.embedded.state import (
    CHECKOUT,
    State,
    is_running,
    locate,
    locked,
    prepare,
    read_json,
)
from tissuemaps.embedded.supervisor import Command, Supervisor

logger = logging.getLogger(__name__)

# A worker reaches files and the queue, never rows or sessions.
NOT_FOR_WORKERS = (
    "DATABASE_URL",
    "DATABASE_SOCKET",
    "TISSUEMAPS_SECRET_FILE",
    "TISSUEMAPS_SECRET_KEY",
)
PUBLISHED = (
    "DATABASE_URL",
    "DATABASE_SOCKET",
    "REDIS_URL",
    "TISSUEMAPS_DATA",
    "TISSUEMAPS_ROOTS",
    "NUMBA_CACHE_DIR",
)


@dataclass(frozen=True, slots=True)
class Options:
    """What to run besides the services."""

    host: str = "127.0.0.1"
    port: int = 8000
    slots: int = field(default_factory=lambda: max(1, os.cpu_count() or 1))
    roots: tuple[Path, ...] = ()
    web: bool = True


@dataclass(slots=True)
class Platform:
    """A running platform: its address, its environment and what watches over it."""

    supervisor: Supervisor
    environment: dict[str, str]
    url: str
    stopping: threading.Event

    def watch(self, until: Callable[[], bool] = lambda: False) -> None:
        """Restart what dies, in the main thread, until told to stop or `until` is true."""
        while not self.stopping.is_set() and not until():
            self.supervisor.watch_once()
            self.stopping.wait(0.2)


def free_port(host: str, port: int) -> int:
    """Return `port`, or any free one for 0; `StartError` where something else listens on it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            return int(probe.getsockname()[1])
        except OSError as error:
            raise StartError(
                f"port {port} on {host} cannot be used ({error.strerror}); choose another with --port"
            ) from None


def run_django(arguments: list[str], env: Mapping[str, str]) -> None:
    """Run a Django command to its end; `StartError` with its last line where it fails."""
    done = subprocess.run(
        [sys.executable, str(CHECKOUT / "manage.py"), *arguments],
        env=dict(env), cwd=CHECKOUT, capture_output=True, text=True, check=False,
        # A Ctrl-C is the supervisor's to handle.
        start_new_session=True,
    )  # fmt: skip
    if done.returncode:
        last = [line for line in done.stderr.splitlines() if line.strip()][-1:]
        logger.error("%s", done.stderr)
        raise StartError(
            f"`manage {' '.join(arguments)}` failed: {last[0] if last else done.returncode}"
        )


def worker_environment(env: Mapping[str, str]) -> dict[str, str]:
    """Return `env` without what a worker must not know."""
    return {k: v for k, v in env.items() if k not in NOT_FOR_WORKERS}


def _python(
    name: str, module: str, *arguments: str, env: Mapping[str, str], stop_s: float
) -> Command:
    return Command(
        name, (sys.executable, "-m", module, *arguments), env, cwd=CHECKOUT, stop_s=stop_s
    )


def _healthy(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=5) as answer:  # noqa: S310
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def start_web(supervisor: Supervisor, env: Mapping[str, str], host: str, port: int) -> str:
    """Start the web server and wait for its first answer; return its address."""
    command = _python(
        "web", "tissuemaps.embedded.web",
        "-b", host, "-p", str(port), "--no-server-name", "tissuemaps.asgi:application",
        env=env, stop_s=5.0,
    )  # fmt: skip
    supervisor.start(command)
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    url = f"http://{shown}:{port}"
    supervisor.wait("web", lambda: _healthy(url))
    return url


def start_warming(supervisor: Supervisor, env: Mapping[str, str]) -> None:
    """Compile the kernels into the cache, beside everything else, before the first job needs them."""
    own = worker_environment(env)
    supervisor.start(
        Command(
            "warming", (sys.executable, "-m", "tissuemaps.cli.warm"), own,
            cwd=CHECKOUT, stop_s=1.0, once=True, nice=5,
        )
    )  # fmt: skip


def start_workers(supervisor: Supervisor, env: Mapping[str, str], slots: int) -> None:
    """Start control and the CPU worker of this machine."""
    supervisor.start(_python("control", "tissuemaps.worker", "control", env=env, stop_s=10.0))
    own = {**worker_environment(env), "TISSUEMAPS_SLOTS": str(slots)}
    supervisor.start(
        _python("worker", "tissuemaps.worker", "cpu,interactive", env=own, stop_s=10.0)
    )


@contextmanager
def _signals(stopping: threading.Event) -> Iterator[None]:
    def stop(_number: int, _frame: FrameType | None) -> None:
        stopping.set()

    before = {n: signal.signal(n, stop) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def services(state: State | None = None) -> Iterator[tuple[Supervisor, dict[str, str]]]:
    """Run PostgreSQL and Valkey only, for one command; stops them at the end."""
    state = state or locate()
    prepare(state)
    with locked(state):
        supervisor = Supervisor(state)
        # Of an earlier start: others must not take it for ours.
        state.environment_file.unlink(missing_ok=True)
        try:
            yield supervisor, environment(state, start_services(supervisor))
        finally:
            supervisor.stop()
            state.environment_file.unlink(missing_ok=True)


@contextmanager
def running(options: Options) -> Iterator[Platform]:
    """Run everything; all children have ended when the context does, whatever happens in it."""
    stopping = threading.Event()
    port = free_port(options.host, options.port) if options.web else 0
    with _signals(stopping), services() as (supervisor, env):
        roots = [*filter(None, [os.environ.get("TISSUEMAPS_ROOTS")]), *map(str, options.roots)]
        env["TISSUEMAPS_ROOTS"] = os.pathsep.join(roots)
        start_warming(supervisor, env)
        run_django(["migrate", "--noinput", "-v0"], env)
        supervisor.state.write_json(
            supervisor.state.environment_file, {k: env[k] for k in PUBLISHED if k in env}
        )
        url = start_web(supervisor, env, options.host, port) if options.web else ""
        start_workers(supervisor, env, options.slots)
        if stopping.is_set():
            raise KeyboardInterrupt
        yield Platform(supervisor, env, url, stopping)


def environment_of_running(state: State) -> dict[str, str] | None:
    """Return the environment of a platform that runs on `state` in another process; None if none does."""
    if not is_running(state):
        return None
    known = read_json(state.environment_file)
    if not isinstance(known, dict):
        raise StartError("the platform is just starting or stopping; try again in a moment")
    return environment(state, known)

"""Start, watch, restart and stop child processes. Entry point: `Supervisor`.

Children must be started by the main thread: the kernel ends them when the *thread* that started
them ends, which is how a killed supervisor takes its children along.
"""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tissuemaps.embedded.errors import StartError
from tissuemaps.embedded.state import State, read_json

logger = logging.getLogger(__name__)

PR_SET_PDEATHSIG = 1
LOG_BYTES = 20 * 2**20
BACK_OFF_S = (0.2, 1.0, 2.0, 5.0, 15.0, 30.0)
STEADY_S = 60.0


def _prctl() -> Callable[..., int] | None:
    if not sys.platform.startswith("linux"):
        return None
    function: Callable[..., int] = ctypes.CDLL(None).prctl
    return function


_PRCTL = _prctl()


def end_with_parent(number: int, nice: int = 0) -> Callable[[], None]:
    """Return a `preexec_fn` that has the kernel send signal `number` when the parent dies."""
    parent = os.getpid()

    def arrange() -> None:
        if nice:
            os.nice(nice)
        if _PRCTL is not None:
            _PRCTL(PR_SET_PDEATHSIG, number)
            if os.getppid() != parent:  # it died before we asked
                os._exit(1)

    return arrange


@dataclass(frozen=True, slots=True)
class Command:
    """How one child is started, told to stop and made ready to start again.

    `before` runs before each start; a child that runs `once` is not started again; a `service` is
    stopped after those that use it.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path = Path("/")
    user: tuple[int, int] | None = None
    stop_signal: int = signal.SIGTERM
    stop_s: float = 10.0
    before: Callable[[], None] | None = None
    once: bool = False
    service: bool = False
    nice: int = 0


@dataclass(slots=True)
class Child:
    """A running command and what happened to it so far."""

    command: Command
    process: subprocess.Popen[bytes]
    started: float
    failures: int = 0
    restart_at: float | None = None
    restarts: int = field(default=0)


def _rotated(path: Path) -> Path:
    if path.is_file() and path.stat().st_size > LOG_BYTES:
        path.replace(path.with_suffix(".log.1"))
    return path


def last_lines(path: Path, count: int = 3) -> str:
    """Return the last lines of a log in one line, for an error message."""
    try:
        with path.open("rb") as stream:
            stream.seek(max(0, path.stat().st_size - 8192))
            lines = stream.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    return " | ".join(line.strip() for line in lines if line.strip()) if len(lines) <= count else " | ".join(
        line.strip() for line in lines[-count:]
    )  # fmt: skip


class Supervisor:
    """Owns the children of one state folder."""

    def __init__(self, state: State):
        self.state = state
        self.children: dict[str, Child] = {}
        self._sweep()

    def log_file(self, name: str) -> Path:
        """Return where a child's output goes."""
        return self.state.logs / f"{name}.log"

    def start(self, command: Command) -> Child:
        """Start a child; it is restarted until `stop`, should it end by itself."""
        child = Child(command, self._spawn(command), time.monotonic())
        self.children[command.name] = child
        self._remember()
        return child

    def _spawn(self, command: Command) -> subprocess.Popen[bytes]:
        if command.before is not None:
            command.before()
        user, group = command.user or (None, None)
        try:
            with _rotated(self.log_file(command.name)).open("ab") as log:
                return subprocess.Popen(
                    command.argv,
                    env=dict(command.env),
                    cwd=command.cwd,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    user=user,
                    group=group,
                    extra_groups=[] if command.user else None,
                    start_new_session=True,
                    preexec_fn=end_with_parent(command.stop_signal, command.nice),
                )
        except OSError as error:
            raise StartError(
                f"cannot start {command.name}: {error.strerror}: {error.filename}"
            ) from None

    def _remember(self) -> None:
        """Write down who our children are, for the sweep after a crash."""
        known = []
        for child in self.children.values():
            try:
                created = psutil.Process(child.process.pid).create_time()
            except psutil.Error:
                continue
            known.append([child.process.pid, created, int(child.command.stop_signal)])
        self.state.write_json(self.state.pids_file, known)

    def _sweep(self) -> None:
        """End what an earlier supervisor of this state folder left behind."""
        left = []
        for pid, created, number in read_json(self.state.pids_file) or []:
            try:
                process = psutil.Process(pid)
                if abs(process.create_time() - created) < 0.05:
                    process.send_signal(number)
                    left.append(process)
            except psutil.Error:
                continue
        _, alive = psutil.wait_procs(left, timeout=15)
        for process in alive:
            logger.warning("process %s of an earlier start does not end; killing it", process.pid)
            process.kill()
        psutil.wait_procs(alive, timeout=5)

    def wait(self, name: str, ready: Callable[[], bool], timeout_s: float = 60.0) -> None:
        """Wait until `ready`; `StartError` with the child's last words if it ends or takes too long."""
        child, deadline = self.children[name], time.monotonic() + timeout_s
        while not ready():
            code = child.process.poll()
            if code is not None:
                words = last_lines(self.log_file(name)) or f"exit code {code}"
                raise StartError(f"{name} ended while starting: {words}")
            if time.monotonic() > deadline:
                raise StartError(
                    f"{name} is not ready after {timeout_s:.0f} s; see {self.log_file(name)}"
                )
            time.sleep(0.02)

    def watch_once(self) -> None:
        """Restart what has ended, each child with its own growing pause."""
        now = time.monotonic()
        for child in self.children.values():
            if child.restart_at is not None:
                if now >= child.restart_at:
                    self._restart(child)
                continue
            code = child.process.poll()
            if code is None or child.command.once:
                continue
            if now - child.started > STEADY_S:
                child.failures = 0
            pause = BACK_OFF_S[min(child.failures, len(BACK_OFF_S) - 1)]
            child.failures += 1
            child.restart_at = now + pause
            logger.warning(
                "%s ended (%s); starting it again in %.1f s; its log: %s",
                child.command.name, _describe(code), pause, self.log_file(child.command.name),
            )  # fmt: skip
            kill_group(child.process.pid)

    def _restart(self, child: Child) -> None:
        try:
            child.process = self._spawn(child.command)
        except (StartError, OSError) as error:
            child.failures += 1
            child.restart_at = (
                time.monotonic() + BACK_OFF_S[min(child.failures, len(BACK_OFF_S) - 1)]
            )
            logger.error("%s", error)
            return
        child.started, child.restart_at = time.monotonic(), None
        child.restarts += 1
        self._remember()

    def stop(self, *names: str) -> None:
        """Stop the named children, or all: first those that use the services, then the services."""
        chosen = [c for n, c in reversed(self.children.items()) if not names or n in names]
        self._end([c for c in chosen if not c.command.service])
        self._end([c for c in chosen if c.command.service])
        self._remember()

    def _end(self, chosen: list[Child]) -> None:
        """Stop children together, each with its own signal and its own patience."""
        for child in chosen:
            if child.process.poll() is None:
                child.process.send_signal(child.command.stop_signal)
        for child in chosen:
            try:
                child.process.wait(child.command.stop_s)
            except subprocess.TimeoutExpired:
                logger.warning("%s does not stop; killing it", child.command.name)
            kill_group(child.process.pid)
            child.process.wait()
            del self.children[child.command.name]


def kill_group(leader: int) -> None:
    """Kill what is left of a child's session: its own children, should it have died before them."""
    try:
        os.killpg(leader, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return


def _describe(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"

"""The worker's side of a job: lease, child process, limits, report. Entry point: `Slot.work`.

A slot owns one child process and does one job at a time. Whatever happens to the child, the worker
lives on, and the attempt ends in exactly one report or in a lease that runs out.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import redis
from pydantic import ValidationError

from gpu_workers import broker
from gpu_workers.messages import JobError, JobResult, JobSpec, Limits
from gpu_workers.runner import leases
from gpu_workers.runner.child import NO_SPACE, environment
from gpu_workers.runner.code_version import code_version
from gpu_workers.runner.execute import no_space
from gpu_workers.runner.processes import kill_tree, tree_memory_mb
from gpu_workers.storage import paths

logger = logging.getLogger(__name__)

POLL_S = 0.25
CANCEL_S = 0.5
REPORT_BYTES = 32_000
LOG_BYTES = 256 * 1024**2
IDLE_MB = 1500
STOPPED = "worker_stopped"


@dataclass(frozen=True, slots=True)
class Assignment:
    """The message of one attempt."""

    experiment: str
    job: str
    attempt: int
    spec_path: str
    secret: str


@dataclass(frozen=True, slots=True)
class Stop:
    """Why the parent ended a job: a state, an error, and whether anybody wants to hear of it."""

    state: str
    code: str
    message: str
    user: bool = False
    report: bool = True


class _Gone(Exception):
    """The child process ended by itself."""


class Slot:
    """One place of a worker: a child process and what supervises it.

    Parameters
    ----------
    worker
        Id of the worker, written into leases and reports.
    data
        Folder of all experiments' data.
    spawner
        Executor of one permanent thread: children die with the thread that started them.
    stopping
        Set when the worker shall end.
    """

    def __init__(
        self, worker: str, data: Path, spawner: ThreadPoolExecutor, stopping: threading.Event
    ):
        self._worker = worker
        self._data = data
        self._spawner = spawner
        self._stopping = stopping
        self._process: subprocess.Popen[bytes] | None = None
        self._unread = b""

    def warm(self) -> None:
        """Start the child if there is none, so that the next job need not wait for it."""
        if self._process is None or self._process.poll() is not None:
            self._unread = b""
            self._process = self._spawner.submit(_spawn).result()

    def close(self) -> None:
        """Kill the child, whatever it does."""
        process, self._process = self._process, None
        if process is not None:
            kill_tree(process.pid)
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    with contextlib.suppress(OSError):
                        stream.close()

    def work(self, assignment: Assignment) -> None:
        """Do one attempt and report its end; an attempt that is taken or dropped is left alone."""
        if self._stopping.is_set():
            return
        claimed = leases.claim(assignment.job, assignment.attempt, self._worker, assignment.secret)
        if claimed != "ok":
            logger.info("attempt %d of job %s: %s", assignment.attempt, assignment.job, claimed)
            return
        root = paths.experiment_root(self._data, UUID(assignment.experiment))
        started = datetime.now(UTC)
        try:
            spec = JobSpec.model_validate_json((root / assignment.spec_path).read_bytes())
            stop = self._supervise(assignment, spec.limits, root)
        except (OSError, ValidationError) as error:
            stop = Stop("failed", "bad_spec", f"the job's spec cannot be read: {error}")
        if stop is not None and not stop.report:
            logger.warning("job %s was given up: %s", assignment.job, stop.message)
            return
        self._report(assignment, root, stop, started)
        self._slim()

    def _slim(self) -> None:
        """Replace an idle child that has kept much memory."""
        if self._process is not None and tree_memory_mb(self._process.pid) > IDLE_MB:
            self.close()
        if not self._stopping.is_set():
            self.warm()

    def _supervise(self, assignment: Assignment, limits: Limits, root: Path) -> Stop | None:
        """Run the child until the job is done (None) or has to be stopped."""
        watch = _Watch(assignment, limits, root, self._worker, self._stopping)
        try:
            self._ask({"root": str(root), "spec": assignment.spec_path})
            stop = self._follow(watch)
        except (_Gone, BrokenPipeError):
            stop = watch.gone(self._process.wait() if self._process else None)
        if stop is not None:
            self.close()
            _append(root / assignment.spec_path, f"{stop.code}: {stop.message}\n")
        return stop

    def _ask(self, request: dict[str, str]) -> None:
        self.warm()
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write((json.dumps(request) + "\n").encode())
        self._process.stdin.flush()

    def _follow(self, watch: _Watch) -> Stop | None:
        assert self._process is not None
        while True:
            for answer in self._answers(POLL_S):
                if "progress" in answer:
                    watch.progress(*answer["progress"])
                elif "done" in answer:
                    return None
            stop = watch.look(self._process.pid)
            if stop is not None:
                return stop

    def _answers(self, timeout_s: float) -> list[dict[str, Any]]:
        assert self._process is not None
        assert self._process.stdout is not None
        handle = self._process.stdout.fileno()
        if not select.select([handle], [], [], timeout_s)[0]:
            return []
        data = os.read(handle, 65536)
        if not data:
            raise _Gone
        *lines, self._unread = (self._unread + data).split(b"\n")
        return [json.loads(line) for line in lines if line]

    def _report(
        self, assignment: Assignment, root: Path, stop: Stop | None, started: datetime
    ) -> None:
        folder = (root / assignment.spec_path).parent
        if stop is None:
            text = (folder / "result.json").read_text()
        else:
            text = _stopped(assignment, stop, started).model_dump_json(indent=1)
            with contextlib.suppress(OSError):
                paths.write_atomically(folder / "result.json", text.encode())
        payload = json.loads(text) if len(text) <= REPORT_BYTES else {"file": True}
        leases.finish(
            assignment.job, assignment.attempt, self._worker, assignment.secret, payload,
            give_up=self._stopping.is_set,
        )  # fmt: skip


class _Watch:
    """Looks after one running job: lease, cancellation, limits, progress."""

    def __init__(
        self,
        assignment: Assignment,
        limits: Limits,
        root: Path,
        worker: str,
        stopping: threading.Event,
    ):
        self._assignment = assignment
        self._limits = limits
        self._log = (root / assignment.spec_path).parent / "log.txt"
        self._worker = worker
        self._stopping = stopping
        now = time.monotonic()
        self._started = self._renewed = self._asked = now
        self._peak_mb = 0.0

    def look(self, pid: int) -> Stop | None:
        """Return why the job has to stop now, or None."""
        if self._stopping.is_set():
            return Stop("killed", STOPPED, "the worker was told to stop; the job runs again")
        checks: tuple[Callable[[], Stop | None], ...] = (
            self._time,
            lambda: self._memory(pid),
            self._log_size,
            self._lease,
        )
        return next((stop for check in checks if (stop := check()) is not None), None)

    def _time(self) -> Stop | None:
        if time.monotonic() - self._started <= self._limits.time_s:
            return None
        text = f"the job ran longer than its limit of {self._limits.time_s} s"
        return Stop("failed", "time_limit", text, user=True)

    def _memory(self, pid: int) -> Stop | None:
        used = tree_memory_mb(pid)
        self._peak_mb = max(self._peak_mb, used)
        if used <= self._limits.memory_mb:
            return None
        text = f"the job used {used:.0f} MiB of memory, its limit is {self._limits.memory_mb} MiB"
        return Stop("failed", "memory_limit", text, user=True)

    def _log_size(self) -> Stop | None:
        try:
            size = self._log.stat().st_size
        except OSError:
            return None
        if size <= LOG_BYTES:
            return None
        return Stop("failed", "log_limit", f"the job wrote {size} bytes of log", user=True)

    def _lease(self) -> Stop | None:
        now = time.monotonic()
        if now - self._asked < CANCEL_S:
            return None
        self._asked = now
        renew = now - self._renewed >= broker.RENEW_S
        job, attempt = self._assignment.job, self._assignment.attempt
        try:
            answer = leases.check(job, attempt, self._worker, renew=renew)
        except redis.RedisError as error:
            # The job goes on without Valkey; if control gave it up meanwhile, the lease says so.
            logger.warning("the lease of job %s could not be renewed: %s", job, error)
            return None
        if renew:
            self._renewed = now
        if answer == "ok":
            return None
        if answer == "killed":
            return Stop("killed", "killed", "killed on request")
        return Stop("killed", answer, f"attempt {attempt} is {answer}", report=False)

    def progress(self, fraction: float, message: str) -> None:
        """Pass on what the job says of its progress; losing it harms nothing."""
        with contextlib.suppress(redis.RedisError):
            leases.progress(self._assignment.job, fraction, message)

    def gone(self, code: int | None) -> Stop:
        """Return what to report of a child that died by itself."""
        if code == -9 and self._peak_mb > 0.8 * self._limits.memory_mb:
            text = f"the system killed the job, probably for memory ({self._peak_mb:.0f} MiB)"
            return Stop("failed", "out_of_memory", text)
        if code == NO_SPACE:
            error = no_space()
            return Stop("failed", error.code, error.message, user=error.user)
        how = f"signal {-code}" if code is not None and code < 0 else f"exit status {code}"
        return Stop("failed", "process_died", f"the job's process died ({how})")


def _spawn() -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603
        [sys.executable, "-m", "gpu_workers.runner.child", str(os.getpid())],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment(),
        start_new_session=True,
    )


def _stopped(assignment: Assignment, stop: Stop, started: datetime) -> JobResult:
    return JobResult(
        job=UUID(assignment.job),
        attempt=assignment.attempt,
        state="killed" if stop.state == "killed" else "failed",
        error=JobError(code=stop.code, message=stop.message, user=stop.user),
        code_version=code_version(),
        started_at=started,
        ended_at=datetime.now(UTC),
    )


def _append(spec: Path, text: str) -> None:
    with contextlib.suppress(OSError), (spec.parent / "log.txt").open("a") as log:
        log.write(text)

"""Real workers and a real control loop for tests of the engine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from apps.jobs.models import Job
from apps.jobs.services import NewJob, jobs_submit
from apps.jobs.services.control import Control
from gpu_workers.messages import ExperimentDescription
from gpu_workers.storage import paths

PLUGINS = "tests.synthetic.steps_for_tests:ENTRIES"
PROGRAM = "import sys; from gpu_workers.actors import run_worker; run_worker(sys.argv[1].split(','), int(sys.argv[2]))"


class Engine:
    """Starts workers as processes, ticks control in this one, kills what is left at the end."""

    def __init__(self) -> None:
        self.control = Control()
        self.workers: list[subprocess.Popen[bytes]] = []

    def worker(self, queues: str = "cpu", slots: int = 1) -> subprocess.Popen[bytes]:
        env = {**os.environ, "TISSUEMAPS_PLUGINS": PLUGINS}
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, queues, str(slots)],
            env=env,
            cwd=Path(__file__).parents[3],
            start_new_session=True,
        )
        self.workers.append(process)
        return process

    def until(self, condition: Callable[[], Any], timeout_s: float = 60) -> float:
        """Tick until a condition holds; returns the seconds it took."""
        start = time.monotonic()
        while not condition():
            assert time.monotonic() - start < timeout_s, "the engine did not get there in time"
            self.control.tick()
            self.control.wait(0.05)
        return time.monotonic() - start

    def stop(self, worker: subprocess.Popen[bytes], number: int = signal.SIGTERM) -> None:
        worker.send_signal(number)
        worker.wait(30)

    def close(self) -> None:
        for worker in self.workers:
            if worker.poll() is None:
                worker.terminate()
        for worker in self.workers:
            try:
                worker.wait(20)
            except subprocess.TimeoutExpired:
                worker.kill()
                worker.wait()


def root_of(scope: UUID) -> Path:
    root = paths.experiment_root(Path(os.environ["TISSUEMAPS_DATA"]), scope)
    root.mkdir(parents=True, exist_ok=True)
    return root


def submit(scope: UUID, *, queue: str = "cpu", number: int = 1, **arguments: Any) -> list[Job]:
    """Submit jobs of the tool "wait"."""
    root_of(scope)
    options = {
        k: arguments.pop(k)
        for k in ("group", "limits", "content_key", "parent", "max_attempts")
        if k in arguments
    }
    group, parent = options.pop("group", None), options.pop("parent", None)
    experiment = ExperimentDescription(id=scope, name="test")
    jobs = [
        NewJob(
            kind="tool",
            name="wait",
            queue=queue,
            experiment=experiment,
            arguments=arguments,
            index=i,
            **options,
        )
        for i in range(number)
    ]
    return jobs_submit(scope=scope, group_id=group, parent=parent or uuid4(), jobs=jobs)


def state_of(job: Job) -> str:
    return Job.objects.values_list("state", flat=True).get(id=job.id)


def children_of(pid: int) -> list[int]:
    found: list[int] = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        found += [int(p) for p in path.read_text().split()]
    return found

"""The process that computes: ``python -m gpu_workers.runner.child PARENT_PID``.

Reads one JSON line per job from its standard input (``root``, ``spec``), answers with JSON lines
on what was its standard output: ``{"progress": [fraction, message]}`` and, when ``result.json`` is
written, ``{"done": state}``. Everything the job prints goes to the attempt's ``log.txt``.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import time
from pathlib import Path
from typing import IO, Any

from gpu_workers.messages import JobSpec
from gpu_workers.runner.execute import execute, is_full
from gpu_workers.runner.processes import die_with_parent, prefer_to_be_killed, reset_peak_memory
from gpu_workers.storage import paths

PROGRESS_S = 0.1
NO_SPACE = 75  # exit status where not even the result could be written
ONE_THREAD = {
    "NUMBA_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "BLOSC_NTHREADS": "1",
    "OPENCV_FOR_THREADS_NUM": "1",
    "ZARR_THREADING__MAX_WORKERS": "1",
}
"""Slots are the parallelism: a library that starts a thread per core would fight the other slots."""


def environment() -> dict[str, str]:
    """Return the environment of a child: the parent's, one thread per library, unbuffered output."""
    return {**os.environ, **ONE_THREAD, "PYTHONUNBUFFERED": "1"}


class _Answers:
    """Lines to the parent; progress at most ten times a second, the last word always."""

    def __init__(self, stream: IO[str]):
        self._stream = stream
        self._last = 0.0
        self._lock = threading.Lock()

    def say(self, answer: dict[str, Any]) -> None:
        with self._lock:
            self._stream.write(json.dumps(answer) + "\n")
            self._stream.flush()

    def progress(self, fraction: float, message: str) -> None:
        now = time.monotonic()
        if now - self._last >= PROGRESS_S or fraction >= 1:
            self._last = now
            self.say({"progress": [min(max(float(fraction), 0.0), 1.0), str(message)[:200]]})


def _redirect(path: Path) -> None:
    """Let standard output and error of this process, C code's too, go to the end of a file."""
    sys.stdout.flush()
    sys.stderr.flush()
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    os.close(handle)


def _one(request: dict[str, str], answers: _Answers) -> None:
    root = Path(request["root"])
    folder = (root / request["spec"]).parent
    _redirect(folder / "log.txt")
    spec = JobSpec.model_validate_json((root / request["spec"]).read_bytes())
    logging.getLogger(__name__).info(
        "%s %s %d.%d, attempt %d", spec.kind, spec.name, spec.round, spec.index, spec.attempt
    )
    reset_peak_memory()
    result = execute(spec, root, answers.progress)
    text = result.model_dump_json(indent=1)
    paths.write_atomically(folder / "result.json", text.encode())
    logging.getLogger(__name__).info(
        "%s after %.1f s of CPU, %.0f MiB", result.state, result.cpu_s, result.peak_memory_mb
    )
    answers.say({"done": result.state})


def main(parent: int) -> None:
    """Do jobs until the standard input ends."""
    die_with_parent(parent)
    prefer_to_be_killed()
    answers = _Answers(os.fdopen(os.dup(1), "w"))
    os.dup2(2, 1)
    idle = os.dup(2)
    logging.basicConfig(
        level=os.environ.get("TISSUEMAPS_LOG_LEVEL", "INFO"),
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    answers.say({"ready": os.getpid()})
    for line in sys.stdin:
        try:
            _one(json.loads(line), answers)
        except OSError as error:
            if is_full(error):
                raise SystemExit(NO_SPACE) from error
            raise
        os.dup2(idle, 1)
        os.dup2(idle, 2)


if __name__ == "__main__":
    main(int(sys.argv[1]))

"""What damaged input may lead to: a value, or an error that names the file; soon, and in little memory."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

from hypothesis import HealthCheck, Phase, settings

from gpu_workers.errors import FileError, UserError
from gpu_workers.runner.processes import peak_memory_mb, reset_peak_memory

MAX_MB: Final = 1024
DEADLINE_S: Final = 20.0
"""Far more than any example takes: a hang is what it finds, not a slow machine."""
NOTHING: Final = ("no_reader", "no_images", "empty_folder")
"""Codes of errors that say what isn't there: no file is at fault."""
_SCALE: Final = float(os.environ.get("TISSUEMAPS_FUZZ", "1"))


def examples(n: int) -> settings:
    """Return the profile of a fuzz test: the same examples every time, unless ``TISSUEMAPS_FUZZ`` asks for more."""
    return settings(
        max_examples=max(1, int(n * _SCALE)), deadline=None, derandomize=_SCALE == 1, database=None,
        suppress_health_check=list(HealthCheck), phases=(Phase.generate, Phase.shrink),
        report_multiple_bugs=False,
    )  # fmt: skip


class Hang(BaseException):
    """It took too long. No `Exception`, so that nothing on the way takes it for a damaged file."""


def _late(_signal: int, _frame: FrameType | None) -> None:
    raise Hang(f"more than {DEADLINE_S} s")


@contextmanager
def watched() -> Iterator[None]:
    """Raise where the work within takes too long or more than 1 GB, in this process."""
    reset_peak_memory()
    before = peak_memory_mb()
    handler = signal.signal(signal.SIGALRM, _late)
    signal.setitimer(signal.ITIMER_REAL, DEADLINE_S)
    started = time.process_time()
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
    taken = peak_memory_mb() - before
    assert taken < MAX_MB, f"{taken:.0f} MB"
    assert time.process_time() - started < DEADLINE_S


def named(error: UserError) -> None:
    """Fail where an error doesn't say which file is at fault, or what else is wrong."""
    assert error.message
    if isinstance(error, FileError) and error.code not in NOTHING:
        assert error.files, error
        assert any(f in error.message for f in error.files), error

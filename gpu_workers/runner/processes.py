"""What the operating system knows of a child process: memory, life, death with its parent."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PAGE = os.sysconf("SC_PAGE_SIZE")


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when the thread that started it ends (Linux).

    Raises SystemExit when `parent` is gone already.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        raise SystemExit(1)


def prefer_to_be_killed() -> None:
    """Have the kernel choose this process, not its worker, when memory runs out."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500")


def reset_peak_memory() -> None:
    """Start to measure the peak memory of this process anew."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory_mb() -> float:
    """Return the peak resident memory of this process since the last reset (MiB)."""
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024**2 if sys.platform == "darwin" else 1024)


def tree_memory_mb(pid: int) -> float:
    """Return the resident memory of a process and all its descendants (MiB); 0 if it is gone."""
    total, pending = 0, [pid]
    while pending:
        current = Path("/proc") / str(pending.pop())
        try:
            total += int((current / "statm").read_text().split()[1]) * _PAGE
            for children in current.glob("task/*/children"):
                pending += [int(p) for p in children.read_text().split()]
        except (OSError, ValueError, IndexError):
            if sys.platform != "linux":
                return _portable_memory_mb(pid)
    return total / 1024**2


def _portable_memory_mb(pid: int) -> float:
    import psutil

    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
        return float(sum(member.memory_info().rss for member in family)) / 1024**2
    except psutil.Error:
        return 0.0


def kill_tree(pid: int) -> None:
    """Kill a process group at once; nothing happens if it is gone."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)

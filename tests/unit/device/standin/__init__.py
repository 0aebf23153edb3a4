"""A stand-in for cupy and cupyx.scipy.ndimage on machines without a device; entry point: `installed`.

Its arrays lie in host memory but behave as cupy's where that decides whether code works: they refuse to
become NumPy arrays by themselves, to mix with them, to be numbers without being fetched, and offer only
functions, methods and parameters that the committed snapshot of cupy knows. Values come from NumPy and
SciPy; our own kernels are compiled by the C++ compiler of the machine (`standin.kernels`).

So it shows that the code of the device halves is right, calls what exists, fetches and mixes nothing
unnoticed, and that the kernels' arithmetic is right in several orders of their threads. It does not show
that NVIDIA's compiler takes them, how fast anything is, what really concurrent threads of a device
do, or where cupy computes otherwise than NumPy and SciPy.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

from gpu_workers import xp
from tests.unit.device.standin import modules


@contextlib.contextmanager
def installed() -> Iterator[None]:
    """Let ``import cupy`` find the stand-in."""
    own = modules.MODULES
    before = {name: sys.modules.get(name) for name in own}
    sys.modules.update(own)
    xp.has_gpu.cache_clear()
    try:
        yield
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module
        xp.has_gpu.cache_clear()

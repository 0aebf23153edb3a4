"""The seam between host and device arrays; the only owner of cupy. Entry point: `operation`.

An operation of `gpu_workers.imaging` is one public function. Its body works on host memory; a half
for the device registers with `device_half`, and the namespace of the first argument decides which
one runs. The halves lie in `gpu_workers.imaging.device`, which is imported with the first array of a
device that an operation meets. Nothing is copied behind a caller's back: steps call `to_device` once
and `to_host` once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, wraps
from importlib import import_module
from importlib.util import find_spec
from typing import Any, ParamSpec, TypeVar

import numpy as np

from gpu_workers.errors import UserError

P = ParamSpec("P")
R = TypeVar("R")

HALVES = "gpu_workers.imaging.device"

_device_halves: dict[str, Callable[..., Any]] = {}


def namespace(*arrays: Any) -> Any:
    """Return the module (numpy or cupy) that the arrays belong to.

    Raises
    ------
    TypeError
        Host and device arrays are mixed.
    """
    found = {
        type(a).__module__.partition(".")[0] for a in arrays if hasattr(a, "__array_priority__")
    }
    on_device = "cupy" in found
    if on_device and found != {"cupy"}:
        raise TypeError("host and device arrays are mixed")
    return import_module("cupy") if on_device else np


def ndimage(*arrays: Any) -> Any:
    """Return scipy.ndimage for arrays in host memory, cupyx.scipy.ndimage for those on a device.

    Raises
    ------
    TypeError
        Host and device arrays are mixed.
    """
    on_host = namespace(*arrays) is np
    return import_module("scipy.ndimage" if on_host else "cupyx.scipy.ndimage")


@cache
def has_gpu() -> bool:
    """Return whether cupy is installed and sees at least one device."""
    if find_spec("cupy") is None:
        return False
    cupy = import_module("cupy")
    try:
        return int(cupy.cuda.runtime.getDeviceCount()) > 0
    except cupy.cuda.runtime.CUDARuntimeError:
        return False


def to_device(array: np.ndarray) -> Any:
    """Copy a host array to the current device.

    Raises
    ------
    UserError
        There is no device here (code ``no_gpu``).
    """
    if not has_gpu():
        raise UserError("this worker has no usable GPU", code="no_gpu")
    return import_module("cupy").asarray(array)


def to_host(array: Any) -> np.ndarray:
    """Return the array in host memory; a host array is returned as it is."""
    if namespace(array) is np:
        return np.asarray(array)
    return np.asarray(import_module("cupy").asnumpy(array))


ALIGNED = 256


@dataclass(frozen=True, slots=True)
class _Place:
    """Where an array lies in a buffer of bytes."""

    start: int
    stop: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def of(self, buffer: Any) -> Any:
        """Return the array: no copy."""
        return buffer[self.start : self.stop].view(self.dtype).reshape(self.shape)


def _places(arrays: Sequence[Any]) -> tuple[list[_Place], int]:
    """Return a place for each array, every one where devices like arrays to start, and the size of all."""
    places, start = [], 0
    for array in arrays:
        places.append(_Place(start, start + array.nbytes, array.shape, np.dtype(array.dtype)))
        start += -(-array.nbytes // ALIGNED) * ALIGNED
    return places, start


def to_device_together(arrays: Sequence[np.ndarray]) -> list[Any]:
    """Copy host arrays of any types to the current device in one go.

    Raises
    ------
    UserError
        There is no device here (code ``no_gpu``).
    """
    if not arrays:
        return []
    places, size = _places(arrays)
    buffer = np.zeros(size, np.uint8)
    for place, array in zip(places, arrays, strict=True):
        place.of(buffer)[...] = array
    there = to_device(buffer)
    return [place.of(there) for place in places]


def to_host_together(arrays: Sequence[Any]) -> list[np.ndarray]:
    """Return arrays in host memory, all those of a device copied in one go; host arrays stay as they are."""
    found = list(arrays)
    away = [i for i, array in enumerate(arrays) if namespace(array) is not np]
    if not away:
        return found
    cupy = import_module("cupy")
    places, size = _places([arrays[i] for i in away])
    there = cupy.empty(size, cupy.uint8)
    for place, i in zip(places, away, strict=True):
        place.of(there)[...] = arrays[i]
    buffer = to_host(there)
    for place, i in zip(places, away, strict=True):
        found[i] = place.of(buffer)
    return found


def free_bytes() -> int:
    """Return how much of the current device's memory is free; 0 without a device."""
    if not has_gpu():
        return 0
    free, _ = import_module("cupy").cuda.runtime.memGetInfo()
    return int(free)


@contextmanager
def lane() -> Iterator[None]:
    """Give what this thread tells the device a queue of its own, and wait for its end.

    It does not wait for what was told to the device before: `wait` does.
    """
    stream = import_module("cupy").cuda.Stream(non_blocking=True)
    with stream:
        yield
        stream.synchronize()


def wait() -> None:
    """Return when the device has done everything that it was told to do."""
    import_module("cupy").cuda.runtime.deviceSynchronize()


def _path(function: Callable[..., Any]) -> str:
    return f"{function.__module__}.{function.__name__}"


def operation(function: Callable[P, R]) -> Callable[P, R]:
    """Make a host function choose its device half when its first argument lies on a device.

    Raises (when called)
    --------------------
    UserError
        The array lies on a device and the operation has no device half (``no_gpu_implementation``).
    """

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        if namespace(args[0]) is np:
            return function(*args, **kwargs)
        import_module(HALVES)
        half = _device_halves.get(_path(function))
        if half is None:
            name = function.__name__
            raise UserError(f"{name} has no GPU implementation", code="no_gpu_implementation")
        result: R = half(*args, **kwargs)
        return result

    return call


def operations_with_halves() -> frozenset[str]:
    """Return the operations that also work on arrays of a device, as ``module.function``."""
    import_module(HALVES)
    return frozenset(_device_halves)


def device_half(of: Callable[P, R]) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Register the decorated function as the device half of the operation `of`."""

    def register(half: Callable[P, R]) -> Callable[P, R]:
        _device_halves[_path(of)] = half
        return half

    return register

"""The modules of the stand-in: functions of NumPy and SciPy by the names that the snapshot knows."""

from __future__ import annotations

import importlib.machinery
import types
from typing import Any

import numpy as np
import scipy.ndimage

from tests.repo.device_calls import described
from tests.unit.device.standin.arrays import called, checked, ndarray, wrapped
from tests.unit.device.standin.kernels import RawKernel


class Module(types.ModuleType):
    """Offers what both a module of the device's libraries (by the snapshot) and its model have."""

    def __init__(self, name: str, model: Any, own: dict[str, Any]) -> None:
        super().__init__(name)
        self.__spec__ = importlib.machinery.ModuleSpec(name, None)
        self.__path__: list[str] = []
        self._model = model
        for key, value in own.items():
            setattr(self, key, value)

    def __getattr__(self, name: str) -> Any:
        path = f"{self.__name__}.{name}"
        text = None if name.startswith("_") else described(path)
        if text is None:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        found = getattr(self._model, name)
        if text == "value" or (isinstance(found, type) and issubclass(found, np.generic)):
            return found

        def function(*args: Any, **kwargs: Any) -> Any:
            checked(path, args, kwargs)
            return called(found, args, kwargs)

        return function


class Copied:
    """How many copies of images and tables went to the device and came back."""

    there = 0
    back = 0


def asarray(a: Any, dtype: Any = None, order: Any = None) -> ndarray:
    """Copy a host array to the device."""
    if isinstance(a, ndarray):
        return a
    Copied.there += 1
    return ndarray(np.array(a, dtype, order=order or "C"))


def asnumpy(a: ndarray) -> np.ndarray:
    """Copy an array of the device to the host."""
    Copied.back += 1
    return a.get()


def argsort(a: ndarray, axis: int = -1, kind: str | None = None) -> Any:
    """Sort as cupy does: never unstable."""
    assert kind in (None, "stable")
    return wrapped(np.argsort(a._values, axis=axis, kind="stable"))


class Stream:
    """A queue of work of which each piece is done when it is put in."""

    def __init__(self, non_blocking: bool = False) -> None:
        self.non_blocking = non_blocking

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_error: object) -> None:
        pass

    def synchronize(self) -> None:
        pass


class _Runtime(types.ModuleType):
    class CUDARuntimeError(RuntimeError):
        pass

    @staticmethod
    def getDeviceCount() -> int:  # noqa: N802
        return 1

    @staticmethod
    def driverGetVersion() -> int:  # noqa: N802
        return 0

    @staticmethod
    def runtimeGetVersion() -> int:  # noqa: N802
        return 0

    @staticmethod
    def getDeviceProperties(_device: int) -> dict[str, Any]:  # noqa: N802
        return {"name": b"stand-in, no device", "totalGlobalMem": 2**34, "major": 0, "minor": 0}

    @staticmethod
    def memGetInfo() -> tuple[int, int]:  # noqa: N802
        return 2**33, 2**34

    @staticmethod
    def deviceSynchronize() -> None:  # noqa: N802
        pass


runtime = _Runtime("cupy.cuda.runtime")
cuda = types.ModuleType("cupy.cuda")
cuda.runtime, cuda.Stream, cuda.is_available = runtime, Stream, lambda: True  # type: ignore[attr-defined]
cupy = Module(
    "cupy",
    np,
    {
        "ndarray": ndarray,
        "asarray": asarray,
        "asnumpy": asnumpy,
        "argsort": argsort,
        "RawKernel": RawKernel,
        "cuda": cuda,
        "__version__": "stand-in",
    },
)
cupyx_ndimage = Module("cupyx.scipy.ndimage", scipy.ndimage, {})
cupyx_scipy = Module("cupyx.scipy", None, {"ndimage": cupyx_ndimage})
cupyx = Module("cupyx", None, {"scipy": cupyx_scipy})

MODULES: dict[str, types.ModuleType] = {
    "cupy": cupy,
    "cupy.cuda": cuda,
    "cupy.cuda.runtime": runtime,
    "cupyx": cupyx,
    "cupyx.scipy": cupyx_scipy,
    "cupyx.scipy.ndimage": cupyx_ndimage,
}

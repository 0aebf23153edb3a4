"""An array that behaves as one of a device; entry points: `ndarray`, `wrapped`, `bare`, `checked`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tests.repo.device_calls import described, misuse

# Attributes that are facts, not arrays.
FACTS = ("shape", "size", "ndim", "dtype", "itemsize", "nbytes", "strides", "flags")


def wrapped(value: Any) -> Any:
    """Return what NumPy gave as a device gives it: arrays of it, also for single numbers."""
    if isinstance(value, (np.ndarray, np.generic)):
        return ndarray(np.asarray(value))
    if isinstance(value, (tuple, list)):
        return type(value)(map(wrapped, value))
    return value


def bare(value: Any) -> Any:
    """Return a value with the NumPy arrays that arrays of the device stand for; no other array is let in."""
    if isinstance(value, ndarray):
        return value._values
    if isinstance(value, np.ndarray):
        raise TypeError("Unsupported type <class 'numpy.ndarray'>")
    if isinstance(value, (tuple, list)):
        return type(value)(map(bare, value))
    if isinstance(value, slice):
        return slice(bare_number(value.start), bare_number(value.stop), bare_number(value.step))
    return value


def bare_number(value: Any) -> Any:
    if isinstance(value, ndarray):
        raise TypeError("an array of a device is no index: fetch it with int()")
    return value


def checked(path: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Refuse a call that cupy would refuse, by the snapshot."""
    text = described(path)
    if text is None:
        raise AttributeError(f"{path} does not exist")
    wrong = misuse(text, len(args), frozenset(kwargs), spread=False)
    if wrong:
        raise TypeError(f"{path} {wrong}")


def called(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call a function of NumPy or SciPy for arrays of the device; like a device it warns of nothing."""
    with np.errstate(all="ignore"):
        result = function(*map(bare, args), **{k: bare(v) for k, v in kwargs.items()})
    return wrapped(result)


class ndarray(np.lib.mixins.NDArrayOperatorsMixin):  # noqa: N801  as cupy's
    """An array of the stand-in."""

    __array_priority__ = 100.0
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, values: np.ndarray) -> None:
        self._values = values

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or described(f"cupy.ndarray.{name}") is None:
            raise AttributeError(f"cupy.ndarray has no {name!r}")
        if name in FACTS:
            return getattr(self._values, name)
        found = getattr(self._values, name)
        if not callable(found):
            return wrapped(found)

        def method(*args: Any, **kwargs: Any) -> Any:
            checked(f"cupy.ndarray.{name}", args, kwargs)
            given = [bare(a) for a in args]
            with np.errstate(all="ignore"):
                result = found(*given, **{k: bare(v) for k, v in kwargs.items()})
            return result if name in ("item", "tolist", "tobytes") else wrapped(result)

        return method

    def get(self) -> np.ndarray:
        """Return a copy in host memory."""
        return self._values.copy()

    def __array__(self, *_args: Any, **_kwargs: Any) -> np.ndarray:
        raise TypeError("Implicit conversion to a NumPy array is not allowed.")

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if method != "__call__":
            raise TypeError(f"{ufunc.__name__}.{method} is not known to be there on a device")
        names = {"absolute": "abs", "bitwise_invert": "invert"}
        path = f"cupy.{names.get(ufunc.__name__, ufunc.__name__)}"
        out = kwargs.pop("out", None)
        checked(path, inputs, kwargs)
        given = [bare(i) for i in inputs]
        with np.errstate(all="ignore"):
            result = ufunc(*given, **({"out": bare(out)} if out else {}), **kwargs)
        return out[0] if out else wrapped(result)

    def __array_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        checked(f"cupy.{func.__name__}", args, kwargs)
        return called(func, args, kwargs)

    def __getitem__(self, index: Any) -> ndarray:
        return ndarray(np.asarray(self._values[bare(index)]))

    def __setitem__(self, index: Any, value: Any) -> None:
        self._values[bare(index)] = bare(value)

    def __len__(self) -> int:
        return len(self._values)

    def __iter__(self) -> Iterator[ndarray]:
        if not self.ndim:
            raise TypeError("iteration over a 0-d array")
        return (self[i] for i in range(len(self)))

    def __bool__(self) -> bool:
        return bool(self._values)

    def __int__(self) -> int:
        return int(self._values)

    def __float__(self) -> float:
        return float(self._values)

    def __repr__(self) -> str:
        return f"stand-in {self._values!r}"


ndarray.__module__ = "cupy"

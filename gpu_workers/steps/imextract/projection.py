"""Projections along z of planes that come one after the other, none of which is kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gpu_workers.storage.plates import Projection

Pixels = npt.NDArray[Any]


@dataclass(slots=True)
class Stack:
    """The projection of one channel's planes at one time point.

    Attributes
    ----------
    kind
        None: only count.
    expected
        How many planes there should be.
    n
        How many have come.
    z, score
        Of the plane in best focus.
    """

    kind: Projection | None
    expected: int
    n: int = 0
    left: int = 0
    z: int = 0
    score: float = float("-inf")
    _state: Pixels | None = None
    _dtype: np.dtype[Any] | None = None

    def __post_init__(self) -> None:
        self.left = self.expected

    def add(self, pixels: Pixels, z: int, score: float = 0.0) -> None:
        """Take a plane into account; `score` says how sharp it is."""
        self.n += 1
        if self.kind is None:
            return
        if self._state is None:
            self._start(pixels, z, score)
        elif self.kind == "max":
            np.maximum(self._state, pixels, out=self._state)
        elif self.kind == "mean":
            self._state += pixels
        # Of planes that are equally sharp the lowest is taken, in whatever order they come.
        elif (score, -z) > (self.score, -self.z):
            self._state, self.z, self.score = pixels, z, score

    def _start(self, pixels: Pixels, z: int, score: float) -> None:
        self._dtype, self.z, self.score = pixels.dtype, z, score
        if self.kind == "max":
            self._state = pixels.copy()
        elif self.kind == "mean":
            self._state = pixels.astype(np.uint64 if pixels.dtype.kind == "u" else np.float64)
        else:
            self._state = pixels

    def result(self) -> Pixels:
        """Return the projection in the planes' own type; means of integers are rounded half up."""
        assert self._state is not None
        assert self._dtype is not None
        if self.kind != "mean":
            return self._state
        if self._dtype.kind == "u":
            return ((self._state + np.uint64(self.n // 2)) // np.uint64(self.n)).astype(self._dtype)
        return (self._state / self.n).astype(self._dtype)


def state_bytes(kind: Projection | None, height: int, width: int, itemsize: int) -> int:
    """Return how much memory the projection of one channel holds."""
    if kind is None:
        return 0
    return height * width * (8 if kind == "mean" else itemsize)

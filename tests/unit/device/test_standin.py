"""The stand-in refuses what a device would refuse, and tells races and missed barriers."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from gpu_workers import xp
from tests.unit.device import standin
from tests.unit.device.conftest import needs_compiler
from tests.unit.device.standin import kernels


@pytest.fixture(autouse=True)
def _standin() -> Iterator[None]:
    needs_compiler()
    with standin.installed():
        yield


def test_it_is_gone_afterwards() -> None:
    with standin.installed():
        assert xp.has_gpu()


def test_arrays_do_not_leave_the_device_by_themselves() -> None:
    there = xp.to_device(np.arange(4))

    for leave in (
        lambda: np.asarray(there), lambda: there + np.arange(4), lambda: np.add(there, np.arange(4)),
        lambda: np.concatenate([there, np.arange(4)]), lambda: there[np.array([1])],
        lambda: there.__setitem__(0, np.arange(1)), lambda: np.zeros(there.max()),
        lambda: xp.namespace(there, np.arange(4)), lambda: range(there.sum()),
    ):  # fmt: skip
        with pytest.raises(TypeError):
            leave()


def test_what_cupy_lacks_is_lacking() -> None:
    there = xp.to_device(np.arange(4))

    for absent in (
        lambda: xp.namespace(there).asaray(there), lambda: there.newbyteorder(),
        lambda: xp.ndimage(there).gaussian_filter_2d(there), lambda: np.nanquantile(there, 1),
    ):  # fmt: skip
        with pytest.raises(AttributeError):
            absent()
    with pytest.raises(TypeError, match="no parameter 'initial'"):
        xp.namespace(there).cumsum(there, initial=3)


def _start(code: str, n: int, *args: object) -> None:
    kernels.RawKernel(code, "k")((1,), (n,), args)


HEAD = 'extern "C" __global__ void k(int* a, int n)'


def test_numbers_of_another_type_and_views_are_refused() -> None:
    code = HEAD + " { if (threadIdx.x < n) a[threadIdx.x] = n; }"
    array = xp.to_device(np.zeros(4, np.int32))

    _start(code, 4, array, np.int32(3))
    np.testing.assert_array_equal(xp.to_host(array), [3, 3, 3, 0])
    for args in (
        (array, 3), (array, np.int64(3)), (array.astype("int64"), np.int32(3)),
        (array[::2], np.int32(1)), (np.zeros(4, np.int32), np.int32(1)), (array,),
    ):  # fmt: skip
        with pytest.raises(AssertionError):
            _start(code, 4, *args)


def test_a_result_that_depends_on_the_order_of_threads_shows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    code = HEAD + " { a[0] = threadIdx.x; }"
    found = set()

    for order in kernels.ORDERS:
        monkeypatch.setattr(kernels.Settings, "order", order)
        array = xp.to_device(np.zeros(1, np.int32))
        _start(code, 7, array, np.int32(0))
        found.add(int(array[0]))

    assert len(found) > 1


def test_a_barrier_that_not_all_threads_reach_is_told() -> None:
    code = HEAD + " { if (threadIdx.x < 2) __syncthreads(); a[threadIdx.x] = n; }"

    with pytest.raises(AssertionError, match="barrier"):
        _start(code, 4, xp.to_device(np.zeros(4, np.int32)), np.int32(1))


def test_threads_wait_for_each_other_at_a_barrier() -> None:
    code = HEAD + " { __shared__ int s[8]; s[threadIdx.x] = threadIdx.x; __syncthreads();"
    code += " a[threadIdx.x] = s[n - 1 - threadIdx.x]; }"
    array = xp.to_device(np.zeros(4, np.int32))

    _start(code, 4, array, np.int32(4))

    np.testing.assert_array_equal(xp.to_host(array), [3, 2, 1, 0])

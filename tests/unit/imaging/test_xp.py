"""The seam between host and device arrays."""

from __future__ import annotations

import numpy as np
import pytest

from gpu_workers import xp
from gpu_workers.errors import UserError
from gpu_workers.imaging.filters import gaussian

without_gpu = pytest.mark.skipif(xp.has_gpu(), reason="there is a device here")


def test_host_arrays_and_numbers_belong_to_numpy() -> None:
    assert xp.namespace(np.zeros(3), 2.0, None) is np
    assert xp.namespace() is np


def test_a_host_array_stays_where_it_is() -> None:
    image = np.zeros((2, 3), np.uint16)

    assert xp.to_host(image) is image


@without_gpu
def test_without_a_device_nothing_is_copied_to_one() -> None:
    with pytest.raises(UserError) as caught:
        xp.to_device(np.zeros(3))
    assert caught.value.code == "no_gpu"


def test_an_operation_keeps_its_name_and_documentation() -> None:
    assert gaussian.__name__ == "gaussian"
    assert "Smooth an image" in (gaussian.__doc__ or "")


@pytest.mark.gpu
def test_a_device_array_without_a_device_half_is_refused() -> None:
    image = xp.to_device(np.zeros((4, 4), np.float32))

    with pytest.raises(UserError, match="gaussian") as caught:
        gaussian(image, 1.0)
    assert caught.value.code == "no_gpu_implementation"
    with pytest.raises(TypeError):
        xp.namespace(image, np.zeros(3))
    np.testing.assert_array_equal(xp.to_host(image), np.zeros((4, 4)))

"""A module that says ``device=True`` keeps it: the same results from arrays of the device, for every choice.

Its inputs lie on the device, where nothing turns into a host array by itself, so a part that works on
the host only fails here. Compared within 1e-5 of the greatest value.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

from gpu_workers import registry, xp
from gpu_workers.errors import UserError
from gpu_workers.imaging.device.comparison import difference
from gpu_workers.modules.module import Features, Module, Setting
from tests.unit.device.module_inputs import arguments_of, inputs_of

TOLERANCE = 1e-5
# What ``docs/gpu.md`` promises at least.
PROMISED = {
    "measure_intensity", "smooth", "subtract_background", "threshold_otsu", "fill", "separate", "grow",
    "expand", "subtract", "filter_area",
}  # fmt: skip


@cache
def modules() -> tuple[Module, ...]:
    every = (registry.load("modules", name) for name in registry.BUILT_IN["modules"])
    return tuple(m for m in every if m.device)


def _there(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: xp.to_device(image) for name, image in value.items()}
    return value if isinstance(value, Features) else xp.to_device(value)


def _columns(value: Any) -> dict[str, Any]:
    return dict(value.columns) if isinstance(value, Features) else {"": value}


def _made(module: Module, arguments: Any, given: dict[str, Any]) -> dict[str, Any] | str:
    """Return what a module makes, or the code of its complaint."""
    try:
        return module(arguments, given, Setting(pixel_size_um=0.5))
    except UserError as error:
        return error.code


def _alike(expected: np.ndarray, found: np.ndarray) -> bool:
    """Whether results agree; where intensities are rounded, one in 1,000 may be a step off."""
    if expected.dtype.kind == "u" and expected.dtype == found.dtype:
        apart = np.abs(expected.astype(np.int64) - found)
        return bool((apart <= 1).all() and (apart > 0).mean() <= 1e-3)
    return difference(expected, found) <= TOLERANCE


def test_the_modules_that_are_promised_say_so() -> None:
    assert {m.name for m in modules()} >= PROMISED


@pytest.mark.parametrize("name", [m.name for m in modules()])
def test_a_module_makes_the_same_on_the_device(device: str, name: str) -> None:
    module: Module = registry.load("modules", name)
    given = inputs_of(module)
    there = {handle: _there(value) for handle, value in given.items()}

    for arguments in arguments_of(module):
        expected, found = _made(module, arguments, given), _made(module, arguments, there)
        if isinstance(expected, str):
            assert found == expected
            continue
        assert not isinstance(found, str), f"{arguments!r}: {found}"
        for handle, value in expected.items():
            columns = _columns(found[handle])
            for column, values in _columns(value).items():
                host = xp.to_host(columns[column])
                assert _alike(np.asarray(values), host), f"{arguments!r} {column}"


def test_inputs_are_left_as_they_were(device: str) -> None:
    for module in modules():
        there = {handle: _there(value) for handle, value in inputs_of(module).items()}

        _made(module, next(iter(arguments_of(module))), there)

        for handle, value in inputs_of(module).items():
            if isinstance(value, np.ndarray):
                np.testing.assert_array_equal(xp.to_host(there[handle]), value, err_msg=module.name)

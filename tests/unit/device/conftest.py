"""The device that tests run on: a stand-in everywhere, and a real one where there is one."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.unit.device import standin
from tests.unit.device.standin import kernels


def needs_compiler() -> None:
    """Skip where kernels can't be compiled."""
    if kernels.compiler() is None:
        reason = "no C++ compiler to compile our kernels with"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)


@pytest.fixture(params=["stand-in", pytest.param("cupy", marks=pytest.mark.gpu)])
def device(request: pytest.FixtureRequest) -> Iterator[str]:
    """Make ``xp.to_device`` work."""
    if request.param == "cupy":
        yield "cupy"
        return
    needs_compiler()
    with standin.installed():
        yield "stand-in"


@pytest.fixture(params=kernels.ORDERS)
def order(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Let the threads of the stand-in run in another order; a device has its own."""
    monkeypatch.setattr(kernels.Settings, "order", request.param)
    return str(request.param)

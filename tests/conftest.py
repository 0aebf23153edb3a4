"""What every test may use."""

from __future__ import annotations

import os

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests marked `gpu` need a device; without one they skip, saying so."""
    if not any(item.get_closest_marker("gpu") for item in items):
        return
    try:
        import cupy

        available = bool(cupy.cuda.is_available())
    except ImportError:
        available = False
    if available:
        return
    skip = pytest.mark.skip(reason="no CUDA device")
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(skip)


@pytest.fixture(autouse=True, scope="session")
def _few_threads() -> None:
    """Keep numerical libraries from using every core for each small array of a test."""
    os.environ.setdefault("OMP_NUM_THREADS", "2")

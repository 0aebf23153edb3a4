"""Fixtures of the engine's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gpu_workers import broker
from tests.integration.jobs.engine import Engine


@pytest.fixture
def engine(transactional_db: None) -> Iterator[Engine]:
    broker.client().flushdb()
    engine = Engine()
    yield engine
    engine.close()
    broker.client().flushdb()

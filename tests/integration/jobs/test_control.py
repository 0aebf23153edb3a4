"""The control process itself: several at once, stopped, without its services."""

from __future__ import annotations

import threading
import time
from collections import Counter
from uuid import uuid4

import pytest

from apps.jobs.actors import run_control
from apps.jobs.models import Attempt, Job
from tests.integration.jobs.engine import Engine, root_of, submit

pytestmark = pytest.mark.django_db(transaction=True)


def test_two_controls_share_the_work_and_do_nothing_twice(engine: Engine) -> None:
    engine.worker(slots=2)
    stop = threading.Event()
    controls = [threading.Thread(target=run_control, args=(0.05, stop)) for _ in range(2)]
    for thread in controls:
        thread.start()
    scope = uuid4()

    jobs = submit(scope, number=40, text="t")
    deadline = time.monotonic() + 60
    while Job.objects.exclude(state="succeeded").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    stop.set()
    for thread in controls:
        thread.join(20)

    assert not any(thread.is_alive() for thread in controls)
    assert Counter(Job.objects.values_list("state", flat=True)) == {"succeeded": len(jobs)}
    assert Attempt.objects.count() == len(jobs)
    assert len((root_of(scope) / "waits.txt").read_text().splitlines()) == len(jobs)


def test_random_kills_lose_and_double_nothing(engine: Engine) -> None:
    import os
    import random
    import signal

    from tests.integration.jobs.engine import children_of

    random.seed(5)
    workers = [engine.worker(slots=2)]
    scope = uuid4()
    submit(scope, number=30, text="t", seconds=0.3, max_attempts=20)
    kills = 0

    def chaos() -> bool:
        nonlocal kills
        if kills < 8 and random.random() < 0.4:
            children = children_of(workers[-1].pid)
            if children:
                os.kill(random.choice(children), signal.SIGKILL)
                kills += 1
        return not Job.objects.exclude(state="succeeded").exists()

    engine.until(chaos, 120)

    assert kills >= 3
    assert Job.objects.filter(state="succeeded").count() == 30
    final = Attempt.objects.filter(state="succeeded")
    assert final.count() == 30
    assert final.values("job").distinct().count() == 30

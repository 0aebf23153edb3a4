"""A group that submits many jobs delays nobody; control stays cheap."""

from __future__ import annotations

import json
import time
from uuid import uuid4

import pytest

from apps.jobs.models import Job
from gpu_workers import broker
from tests.factories import GroupFactory
from tests.integration.jobs.engine import Engine, state_of, submit
from tests.integration.jobs.test_intake import report

pytestmark = pytest.mark.django_db(transaction=True)


def announce(slots: int) -> None:
    """Let control believe in a worker."""
    text = {
        "id": "w", "host": "h", "pid": 1, "brokers": {"cpu": "b"}, "slots": {"cpu": slots},
        "code_version": "", "started_at": 0.0,
    }  # fmt: skip
    broker.client().set(broker.worker_key("w"), json.dumps(text))
    broker.client().zadd(broker.WORKERS, {"w": time.time() + 1000})


def test_another_groups_first_job_goes_next(engine: Engine) -> None:
    announce(2)
    many, few = GroupFactory(), GroupFactory()
    crowd = submit(uuid4(), number=500, group=many.id)
    engine.control.tick()
    late = submit(uuid4(), group=few.id)[0]
    engine.control.tick()
    assert Job.objects.filter(state="queued").count() == 3
    assert state_of(late) == "waiting"

    first = next(job for job in crowd if state_of(job) == "queued")
    report(first, "ended")
    engine.control.tick()

    assert state_of(late) == "queued"


def test_a_groups_quota_bounds_its_jobs_under_way(engine: Engine) -> None:
    announce(8)
    group = GroupFactory()
    group.quota_jobs = 2
    group.save()
    submit(uuid4(), number=5, group=group.id)

    engine.control.tick()

    assert Job.objects.filter(state="queued").count() == 2


def test_control_takes_at_most_5_ms_a_job(engine: Engine) -> None:
    number = 300
    announce(number)
    jobs = submit(uuid4(), number=number)

    start = time.process_time()
    engine.control.tick()
    sent = time.process_time()
    for job in jobs:
        report(job, "claimed")
        report(job, "ended")
    reported = time.process_time()
    engine.control.tick()
    taken = time.process_time()

    per_job = (sent - start + taken - reported) / number
    assert Job.objects.filter(state="succeeded").count() == number
    print(f"control: {per_job * 1000:.2f} ms of processor time a job")
    assert per_job < 0.005

"""Reports are taken in once, only from the current attempt, only when signed."""

from __future__ import annotations

import time
from typing import Any
from uuid import uuid4

import pytest
from django.db import OperationalError, close_old_connections, connection
from django.utils import timezone

from apps.jobs.models import Attempt, Job
from apps.jobs.services import handlers, jobs_submit
from apps.jobs.services.submission import NewJob
from gpu_workers import broker
from gpu_workers.messages import ExperimentDescription, JobResult
from tests.integration.jobs.engine import Engine, state_of, submit

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def queued(engine: Engine) -> Job:
    """A job whose first attempt is on its way, with nobody to take it."""
    import json

    job = submit(uuid4(), text="x")[0]
    announced = {
        "id": "nobody", "host": "h", "pid": 1, "brokers": {"cpu": "b"}, "slots": {"cpu": 9},
        "code_version": "", "started_at": 0.0,
    }  # fmt: skip
    broker.client().set(broker.worker_key("nobody"), json.dumps(announced))
    broker.client().zadd(broker.WORKERS, {"nobody": time.time() + 1000})
    engine.control.tick()
    job.refresh_from_db()
    assert job.state == "queued"
    return job


def report(
    job: Job, kind: str, *, attempt: int = 1, secret: str | None = None, **result: Any
) -> None:
    now = timezone.now()
    payload: dict[str, Any] = {"worker": "w"}
    if kind == "ended":
        done = JobResult(
            job=job.id, attempt=attempt, state="succeeded", started_at=now, ended_at=now, **result
        )
        payload = done.model_dump(mode="json")
    known = Attempt.objects.filter(job=job, number=attempt).first()
    secret = secret or (known.secret if known else "none")
    fields = broker.event_fields(secret, job.id, attempt, 2, kind, payload)
    broker.client().xadd(broker.EVENTS, fields)


def test_duplicates_change_nothing(engine: Engine, queued: Job) -> None:
    calls: list[str] = []
    handlers.register_handler("tool", lambda job, result: calls.append(str(job.id)))

    for _ in range(3):
        report(queued, "ended", output={"n": 1})
    engine.control.tick()
    report(queued, "ended", output={"n": 2})
    report(queued, "claimed")
    engine.control.tick()

    queued.refresh_from_db()
    assert (queued.state, queued.output) == ("succeeded", {"n": 1})
    assert calls == [str(queued.id)]
    assert broker.client().xlen(broker.EVENTS) == 0


def test_wrong_signature_and_nonsense_are_refused(engine: Engine, queued: Job) -> None:
    report(queued, "ended", secret="wrong")
    broker.client().xadd(broker.EVENTS, {"nonsense": "x"})
    report(queued, "ended", attempt=7)

    engine.control.tick()

    assert state_of(queued) == "queued"
    assert broker.client().xlen(broker.EVENTS) == 0


def test_a_superseded_attempt_is_refused_everywhere(engine: Engine, queued: Job) -> None:
    report(queued, "claimed")
    engine.control.tick()
    time.sleep(1.1)
    engine.control.tick()

    queued.refresh_from_db()
    assert queued.attempts_made == 2
    first = Attempt.objects.get(job=queued, number=1)
    assert first.state == "lost"
    assert broker.client().get(broker.cancel_key(queued.id, 1)) == b"superseded"

    report(queued, "ended", output={"from": 1})
    engine.control.tick()
    assert state_of(queued) != "succeeded"
    report(queued, "ended", attempt=2, output={"from": 2})
    engine.control.tick()

    queued.refresh_from_db()
    assert (queued.state, queued.output) == ("succeeded", {"from": 2})


def test_products_outside_the_experiment_fail_the_job(engine: Engine, queued: Job) -> None:
    report(queued, "ended", products={"result": "../../elsewhere"})

    engine.control.tick()

    queued.refresh_from_db()
    assert queued.error is not None
    assert queued.error["code"] == "bad_result"
    assert queued.state != "succeeded"


def test_a_handler_that_raises_fails_its_own_job_only(engine: Engine, queued: Job) -> None:
    other = submit(uuid4(), text="y")[0]
    engine.control.tick()

    def handler(job: Job, result: JobResult) -> None:
        if job.id == queued.id and result.state == "succeeded":
            raise RuntimeError("the handler has a fault")

    handlers.register_handler("tool", handler)
    report(queued, "ended")
    report(other, "ended")
    engine.control.tick()

    assert (state_of(queued), state_of(other)) == ("failed", "succeeded")


def test_a_report_outlives_a_database_that_dies_while_it_is_taken_in(
    engine: Engine, queued: Job
) -> None:
    deaths = iter([True])

    def handler(job: Job, result: JobResult) -> None:
        if next(deaths, False):
            connection.cursor().execute("SELECT pg_terminate_backend(pg_backend_pid())")

    handlers.register_handler("tool", handler)
    report(queued, "ended", output={"n": 1})
    with pytest.raises(OperationalError):
        engine.control.tick()
    close_old_connections()

    engine.control.tick()

    queued.refresh_from_db()
    assert (queued.state, queued.output, queued.attempts_made) == ("succeeded", {"n": 1}, 1)


def test_content_keys_are_reused_within_their_scope_only(engine: Engine, queued: Job) -> None:
    Job.objects.filter(id=queued.id).update(content_key="abc")
    report(queued, "ended", output={"n": 5}, products={"result": "results/5"})
    engine.control.tick()
    experiment = ExperimentDescription(id=queued.scope, name="t")
    new = NewJob(kind="tool", name="wait", experiment=experiment, content_key="abc")

    (same,) = jobs_submit(scope=queued.scope, group_id=None, parent=uuid4(), jobs=[new])
    (other,) = jobs_submit(scope=uuid4(), group_id=None, parent=uuid4(), jobs=[new])

    assert (same.state, same.output, same.products) == ("reused", {"n": 5}, {"result": "results/5"})
    assert other.state == "waiting"


@pytest.fixture(autouse=True)
def _handlers() -> Any:
    kept = dict(handlers._registered.end)
    yield
    handlers._registered.end.clear()
    handlers._registered.end.update(kept)

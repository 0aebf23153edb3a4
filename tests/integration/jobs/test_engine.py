"""Jobs through real processes: done once, whatever is killed."""

from __future__ import annotations

import json
import os
import signal
import time
from uuid import UUID, uuid4

import pytest

from apps.jobs.models import Attempt, Event, Job, Tally
from apps.jobs.services import jobs_kill
from gpu_workers.messages import JobResult, Limits
from gpu_workers.storage import paths
from tests.integration.jobs.engine import Engine, children_of, root_of, state_of, submit

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def scope() -> UUID:
    return uuid4()


def waits(scope: UUID) -> list[str]:
    path = root_of(scope) / "waits.txt"
    return path.read_text().splitlines() if path.exists() else []


def test_job_runs_once_and_leaves_spec_log_and_result(engine: Engine, scope: UUID) -> None:
    engine.worker()
    job = submit(scope, text="hello")[0]

    engine.until(lambda: state_of(job) == "succeeded")

    row = Job.objects.get(id=job.id)
    assert row.output["text"] == "hello"
    assert (row.attempts_made, row.failures) == (1, 0)
    assert row.peak_memory_mb > 10
    folder = root_of(scope) / paths.attempt_folder(job.id, 1)
    assert "waiting hello" in (folder / "log.txt").read_text()
    result = JobResult.model_validate_json((folder / "result.json").read_bytes())
    assert result.state == "succeeded"
    assert json.loads((folder / "spec.json").read_text())["arguments"]["text"] == "hello"
    assert len(waits(scope)) == 1
    tally = Tally.objects.get(parent=job.parent)
    assert (tally.succeeded, tally.waiting, tally.queued, tally.running) == (1, 0, 0, 0)


def test_killed_child_costs_one_attempt_and_not_the_worker(engine: Engine, scope: UUID) -> None:
    worker = engine.worker()
    job = submit(scope, text="a", seconds=3)[0]
    engine.until(lambda: len(waits(scope)) == 1)
    (child,) = children_of(worker.pid)

    os.kill(child, signal.SIGKILL)
    engine.until(lambda: state_of(job) == "succeeded")

    row = Job.objects.get(id=job.id)
    assert (row.attempts_made, row.failures) == (2, 1)
    assert worker.poll() is None
    first = Attempt.objects.get(job=row, number=1)
    assert first.state == "failed"
    assert first.error is not None
    assert first.error["code"] == "process_died"


def test_killed_worker_has_its_job_run_again_by_another(engine: Engine, scope: UUID) -> None:
    worker = engine.worker()
    job = submit(scope, text="a", seconds=2)[0]
    engine.until(lambda: state_of(job) == "running")
    (child,) = children_of(worker.pid)
    engine.worker()

    engine.stop(worker, signal.SIGKILL)
    seconds = engine.until(lambda: state_of(job) == "succeeded", 40)

    assert seconds < 20
    row = Job.objects.get(id=job.id)
    assert row.attempts_made == 2
    assert Attempt.objects.get(job=row, number=1).state == "lost"
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)


def test_stopped_worker_gives_its_job_back_at_once_without_cost(
    engine: Engine, scope: UUID
) -> None:
    worker = engine.worker()
    job = submit(scope, text="a", seconds=1.5)[0]
    engine.until(lambda: len(waits(scope)) == 1)
    engine.worker()

    worker.terminate()
    seconds = engine.until(lambda: state_of(job) == "succeeded", 40)

    row = Job.objects.get(id=job.id)
    assert (row.attempts_made, row.failures) == (2, 0)
    assert Attempt.objects.get(job=row, number=1).state == "released"
    assert seconds < 8
    worker.wait(20)


def test_user_error_is_not_tried_again_but_an_internal_one_is(engine: Engine, scope: UUID) -> None:
    engine.worker()
    user = submit(scope, text="u", trouble="user")[0]
    internal = submit(scope, text="i", trouble="internal")[0]

    engine.until(lambda: {state_of(user), state_of(internal)} == {"failed"})

    user.refresh_from_db()
    internal.refresh_from_db()
    assert (user.attempts_made, internal.attempts_made) == (1, 3)
    assert user.error is not None
    assert user.error["files"] == ["plane3.tif"]
    assert internal.error is not None
    assert "nobody expected this" in internal.error["message"]


def test_a_full_disk_is_said_to_be_one_and_not_tried_again(engine: Engine, scope: UUID) -> None:
    job = submit(scope, text="f", trouble="full")[0]
    engine.worker()

    engine.until(lambda: state_of(job) == "failed")

    job.refresh_from_db()
    assert job.error is not None
    assert (job.error["code"], job.attempts_made) == ("no_space", 1)
    assert "disk of the experiments is full" in job.error["message"]


def test_kill_stops_running_and_waiting_jobs(engine: Engine, scope: UUID) -> None:
    engine.worker()
    parent = uuid4()
    jobs = submit(scope, number=3, text="k", seconds=60, parent=parent)
    engine.until(lambda: "running" in {state_of(job) for job in jobs})

    ended = jobs_kill(parent=parent)
    again = jobs_kill(parent=parent)

    assert len(ended) == 3
    assert again == []
    assert {state_of(job) for job in jobs} == {"killed"}
    after = submit(scope, text="after")[0]
    assert engine.until(lambda: state_of(after) == "succeeded", 20) < 10
    assert {state_of(job) for job in jobs} == {"killed"}


def test_limits_of_time_and_memory_end_a_job(engine: Engine, scope: UUID) -> None:
    engine.worker(slots=2)
    slow = submit(scope, text="s", seconds=60, limits=Limits(time_s=1))[0]
    big = submit(scope, text="b", trouble="memory", limits=Limits(memory_mb=300))[0]

    engine.until(lambda: {state_of(slow), state_of(big)} == {"failed"}, 30)

    slow.refresh_from_db()
    big.refresh_from_db()
    assert slow.error is not None
    assert big.error is not None
    assert (slow.error["code"], big.error["code"]) == ("time_limit", "memory_limit")
    assert (slow.attempts_made, big.attempts_made) == (1, 1)


def test_interactive_job_is_picked_up_at_once_beside_bulk_work(engine: Engine, scope: UUID) -> None:
    engine.worker("cpu,interactive", 1)
    bulk = submit(scope, number=2, text="bulk", seconds=20)
    engine.until(lambda: "running" in {state_of(job) for job in bulk})
    delays = []
    for i in range(5):
        time.sleep(1.2)
        sent = time.time()
        job = submit(scope, queue="interactive", text=f"quick{i}")[0]
        engine.until(lambda job=job: state_of(job) == "succeeded")
        line = next(w for w in waits(scope) if w.startswith(f"quick{i} "))
        delays.append(float(line.split()[2]) - sent)

    assert sorted(delays)[2] < 0.25, delays
    print("interactive pick-up", [round(d * 1000) for d in delays], "ms")


def test_lost_message_is_sent_again(engine: Engine, scope: UUID) -> None:
    from gpu_workers import broker

    engine.worker()
    engine.until(lambda: broker.client().zcard(broker.WORKERS) == 1)
    broker.client().hset("dramatiq:cpu.msgs", "x", "y")
    jobs = submit(scope, number=3, text="m", seconds=1)
    engine.control.tick()
    broker.client().delete("dramatiq:cpu", "dramatiq:cpu.msgs")

    engine.until(lambda: {state_of(job) for job in jobs} == {"succeeded"}, 40)

    assert len(waits(scope)) == 3


def test_events_of_failed_jobs_do_not_block_others(engine: Engine, scope: UUID) -> None:
    engine.worker(slots=2)
    jobs = [submit(uuid4(), number=4, text=str(i)) for i in range(4)]

    engine.until(lambda: {state_of(j) for group in jobs for j in group} == {"succeeded"})

    assert Event.objects.count() == 0

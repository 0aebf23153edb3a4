"""Workflows end to end: real control, real workers, cheap real steps, through the API."""

from __future__ import annotations

import json
from typing import Any

import pytest
from rest_framework.test import APIClient

from apps.accounts.models import User
from apps.core.models import AuditEntry
from apps.experiments.models import Experiment, Product
from apps.jobs.models import Event, Job
from tests.integration.jobs.engine import Engine, root_of

pytestmark = pytest.mark.django_db(transaction=True)


class Api:
    """The API as one user sees it."""

    def __init__(self, user: User, experiment: Experiment):
        self.client = APIClient()
        self.client.force_authenticate(user)
        self.base = f"/api/v1/experiments/{experiment.id}/"

    def get(self, path: str, expected: int = 200) -> Any:
        answer = self.client.get(self.base + path)
        assert answer.status_code == expected, answer.content
        return answer.json()

    def post(self, path: str, body: Any = None, expected: int = 202, **headers: Any) -> Any:
        answer = self.client.post(self.base + path, body or {}, format="json", **headers)
        assert answer.status_code == expected, answer.content
        return answer.json()

    def describe(self, expected: int = 200, **arguments: Any) -> Any:
        body = self.get("workflow-description/")
        body["stages"][0]["steps"][0]["arguments"].update(arguments)
        answer = self.client.put(self.base + "workflow-description/", body, format="json")
        assert answer.status_code == expected, answer.content
        return answer.json()


@pytest.fixture
def api(owner: User, experiment: Experiment) -> Api:
    return Api(owner, experiment)


def run(engine: Engine, api: Api, submitted: Any) -> Any:
    """Tick until a workflow is at its end; returns it."""
    path = f"workflows/{submitted['id']}/"
    engine.until(lambda: api.get(path)["state"] not in ("waiting", "running"))
    return api.get(path)


def steps_of(workflow: Any) -> dict[str, Any]:
    return {step["name"]: step for stage in workflow["stages"] for step in stage["steps"]}


def test_workflow_runs_rounds_and_collect_and_makes_products_current(
    engine: Engine, api: Api, experiment: Experiment
) -> None:
    engine.worker(slots=2)
    api.describe(rounds=[3, 0, 2])

    done = run(engine, api, api.post("workflows/"))

    assert done["state"] == "succeeded"
    steps = steps_of(done)
    assert steps["count"]["counts"]["succeeded"] == 1 + 3 + 2 + 1
    assert steps["count"]["progress"] == 1.0
    assert steps["count"]["n_problems"] == 2
    current = dict(Product.objects.filter(is_current=True).values_list("name", "path"))
    root = root_of(experiment.id)
    assert json.loads((root / current["numbers"]).read_text()) == {"total": 4, "parts": 5}
    assert json.loads((root / current["sum"]).read_text()) == {"sum": 5}
    kinds = set(Event.objects.values_list("kind", flat=True))
    assert {"workflow.state", "step.state"} <= kinds
    numbers = list(Event.objects.order_by("sequence").values_list("sequence", flat=True))
    assert numbers == list(range(1, len(numbers) + 1))
    assert AuditEntry.objects.filter(action="workflow.submit").count() == 1


def test_the_same_again_reuses_and_a_changed_argument_redoes_what_depends_on_it(
    engine: Engine, api: Api, experiment: Experiment
) -> None:
    engine.worker(slots=2)
    first = run(engine, api, api.post("workflows/"))

    again = run(engine, api, api.post(f"workflows/{first['id']}/resubmit/"))
    api.describe(salt=1)
    changed = run(engine, api, api.post("workflows/"))

    assert again["number"] == 2
    assert steps_of(again)["count"]["counts"]["reused"] == 4
    assert steps_of(again)["count"]["counts"]["succeeded"] == 1
    assert steps_of(again)["add"]["counts"]["reused"] == 1
    assert steps_of(changed)["count"]["counts"]["reused"] == 0
    runs = list(root_of(experiment.id).glob("numbers/*/runs.txt"))
    assert sorted(len(r.read_text().splitlines()) for r in runs) == [3, 3]


def test_reuse_needs_the_files(engine: Engine, api: Api, experiment: Experiment) -> None:
    engine.worker(slots=2)
    first = run(engine, api, api.post("workflows/"))
    for manifest in root_of(experiment.id).glob("numbers/*/numbers.json"):
        manifest.unlink()

    again = run(engine, api, api.post(f"workflows/{first['id']}/resubmit/"))

    assert again["state"] == "succeeded"
    assert list(root_of(experiment.id).glob("numbers/*/numbers.json"))


def test_failure_stops_the_step_shows_the_error_and_can_be_mended(
    engine: Engine, api: Api, experiment: Experiment
) -> None:
    engine.worker(slots=2)
    api.describe(trouble="user", trouble_in=1)

    failed = run(engine, api, api.post("workflows/"))

    steps = steps_of(failed)
    assert failed["state"] == "failed"
    assert [stage["state"] for stage in failed["stages"]] == ["failed", "waiting"]
    assert steps["count"]["error"]["message"] == "plane 3 is truncated"
    assert steps["count"]["error"]["files"] == ["plane3.tif"]
    assert steps["count"]["counts"]["succeeded"] == 1 + 2
    jobs = api.get(f"workflows/{failed['id']}/jobs/?state=failed&step=count")["results"]
    assert len(jobs) == 1
    log = api.get(f"jobs/{jobs[0]['id']}/log/")
    assert "working on 1" in log["text"]
    assert log["complete"]
    assert api.get(f"jobs/{jobs[0]['id']}/log/?after={log['next']}")["text"] == ""

    api.describe(trouble="none")
    mended = run(
        engine, api, api.post(f"workflows/{failed['id']}/resubmit/", {"only_failed": True})
    )

    assert mended["state"] == "succeeded"
    assert steps_of(mended)["count"]["counts"]["reused"] == 2


def test_resubmission_from_a_later_stage_leaves_the_earlier_alone(engine: Engine, api: Api) -> None:
    engine.worker(slots=2)
    first = run(engine, api, api.post("workflows/"))

    second = run(
        engine, api, api.post(f"workflows/{first['id']}/resubmit/", {"from_stage": "adding"})
    )

    assert [stage["state"] for stage in second["stages"]] == ["reused", "succeeded"]
    assert sum(steps_of(second)["count"]["counts"].values()) == 0


def test_kill_ends_jobs_and_lets_another_workflow_start(engine: Engine, api: Api) -> None:
    engine.worker()
    api.describe(seconds=30)
    submitted = api.post("workflows/")
    engine.until(lambda: Job.objects.filter(kind="run", state="running").exists())
    refused = api.post("workflows/", expected=409)

    killed = api.post(f"workflows/{submitted['id']}/kill/")

    assert refused["code"] == "workflow_running"
    assert killed["state"] == "killed"
    assert not Job.objects.filter(state__in=["waiting", "queued", "running"]).exists()
    assert api.post(f"workflows/{submitted['id']}/kill/", expected=409)["code"]
    api.describe(seconds=0)
    assert run(engine, api, api.post("workflows/"))["state"] == "succeeded"


def test_killed_child_in_a_workflow_leaves_one_result(
    engine: Engine, api: Api, experiment: Experiment
) -> None:
    engine.worker(slots=2)
    api.describe(rounds=[6], trouble="crash_once", trouble_in=4)

    done = run(engine, api, api.post("workflows/"))

    assert done["state"] == "succeeded"
    (runs,) = root_of(experiment.id).glob("numbers/*/runs.txt")
    assert len(runs.read_text().splitlines()) == 6
    assert Job.objects.filter(attempts_made=2).count() == 1


def test_stages_can_be_chosen_and_missing_inputs_are_refused(engine: Engine, api: Api) -> None:
    engine.worker()

    early = api.post("workflows/", {"stages": ["adding"]}, expected=400)
    unknown = api.post("workflows/", {"stages": ["tea"]}, expected=400)
    first = run(engine, api, api.post("workflows/", {"stages": ["counting"]}))
    second = run(engine, api, api.post("workflows/", {"stages": ["adding"]}))

    assert (early["code"], early["extra"]["step"]) == ("missing_input", "add")
    assert unknown["code"] == "unknown_stage"
    assert [stage["state"] for stage in first["stages"]] == ["succeeded", "skipped"]
    assert [stage["state"] for stage in second["stages"]] == ["skipped", "succeeded"]


def test_a_workflow_can_end_with_an_earlier_step(engine: Engine, api: Api) -> None:
    engine.worker()

    unknown = api.post("workflows/", {"until": "tea"}, expected=400)
    first = run(engine, api, api.post("workflows/", {"until": "count"}))

    assert unknown["code"] == "unknown_step"
    assert [stage["state"] for stage in first["stages"]] == ["succeeded", "skipped"]


def test_wrong_arguments_name_stage_step_and_argument(api: Api) -> None:
    error = api.describe(expected=400, seconds=-1)

    assert error["code"] == "invalid_arguments"
    assert (error["extra"]["stage"], error["extra"]["step"]) == ("counting", "count")
    assert error["extra"]["argument"] == "seconds"
    assert "stage counting, step count, argument seconds" in error["message"]


def test_the_same_idempotency_key_submits_once(engine: Engine, api: Api) -> None:
    first = api.post("workflows/", HTTP_IDEMPOTENCY_KEY="abc")
    second = api.post("workflows/", HTTP_IDEMPOTENCY_KEY="abc")

    assert first["id"] == second["id"]
    assert len(api.get("workflows/")["results"]) == 1

"""A tool request from the API to its values, with the job done in this process."""

from __future__ import annotations

import numpy as np
import pytest

from apps.core import permissions
from apps.experiments.models import Product
from apps.experiments.selectors import experiment_root
from apps.jobs.models import Event, Job
from apps.tools import services
from apps.tools.models import ToolResult
from gpu_workers.messages import JobError, JobSpec
from gpu_workers.runner.execute import execute
from tests import factories
from tests.synthetic.objects import KEY, write_objects

pytestmark = pytest.mark.django_db


@pytest.fixture
def screen(settings, tmp_path):
    """An experiment with one plate of four segmented nuclei, and its owner."""
    settings.TISSUEMAPS_DATA = tmp_path
    owner, editor = factories.UserFactory(), factories.UserFactory()
    experiment = factories.ExperimentFactory(owner=owner, editor=editor)
    plate = factories.PlateFactory(experiment=experiment)
    factories.ObjectTypeFactory(experiment=experiment, name="Nuclei")
    wells = {"B02": np.array([1, 2, np.nan, 4], np.float32)}
    manifest = write_objects(experiment_root(experiment.id), {str(plate.id): wells})
    Product.objects.create(
        experiment=experiment, name="objects", key=KEY, path=manifest, is_current=True
    )
    return {"owner": owner, "editor": editor, "experiment": experiment, "plate": plate}


@pytest.fixture
def api(client, screen):
    client.force_login(screen["editor"])
    return client


def _url(screen, *parts: object) -> str:
    return "/".join([f"/api/v1/experiments/{screen['experiment'].id}", *map(str, parts), ""])


def _request(api, screen, **body):
    data = {"tool": "heatmap", "object_type": "Nuclei", "arguments": {"feature": "Area"}, **body}
    return api.post(_url(screen, "tool-requests"), data, content_type="application/json")


def _do(job: Job):
    """Do a job's work here and hand its outcome to the app, as control does."""
    result = ToolResult.objects.get(job=job.id)
    from apps.experiments.selectors import experiment_description

    spec = JobSpec(
        job=job.id,
        attempt=1,
        kind="tool",
        name=result.tool,
        experiment=experiment_description(experiment_id=result.experiment_id),
        arguments=result.arguments,
        inputs=result.inputs,
        batch={"result": str(result.id)},
    )
    outcome = execute(spec, experiment_root(result.experiment_id))
    services.tool_result_apply(job, outcome)
    return outcome


def test_a_request_is_accepted_and_waits_on_the_interactive_queue(api, screen):
    response = _request(api, screen)

    assert response.status_code == 202, response.content
    job = Job.objects.get(id=response.json()["job"])
    assert (job.kind, job.name, job.queue) == ("tool", "heatmap", "interactive")
    assert response.json()["state"] == "waiting"


def test_the_result_becomes_a_layer_with_values_and_a_legend(api, screen):
    identifier = _request(api, screen).json()["id"]

    _do(Job.objects.get(kind="tool"))

    result = api.get(_url(screen, "tool-results", identifier)).json()
    assert (result["state"], result["info"]["label"]) == ("succeeded", "Area")
    values = api.get(result["values_url"], {"plate": screen["plate"].id})
    np.testing.assert_array_equal(np.frombuffer(values.content, "<f4"), [1, 2, np.nan, 4])
    coded = api.get(
        result["values_url"], {"plate": screen["plate"].id, "format": "u1", "low": 1, "high": 4}
    )
    assert list(coded.content) == [1, 86, 0, 255]
    kinds = list(Event.objects.filter(kind="tool.state").values_list("payload__state", flat=True))
    assert kinds[-1] == "succeeded"


def test_a_failure_reaches_the_user_with_its_reason(api, screen):
    identifier = _request(api, screen, arguments={"feature": "Aera"}).json()["id"]

    _do(Job.objects.get(kind="tool"))

    result = api.get(_url(screen, "tool-results", identifier)).json()
    assert result["state"] == "failed"
    assert "Aera" in result["error"]["message"]


def test_a_late_report_changes_nothing(api, screen):
    _request(api, screen)
    job = Job.objects.get(kind="tool")
    outcome = _do(job)
    before = ToolResult.objects.get(job=job.id)

    late = outcome.model_copy(
        update={"state": "failed", "error": JobError(code="x", message="x", user=False)}
    )
    services.tool_result_apply(job, late)

    after = ToolResult.objects.get(job=job.id)
    assert (after.state, after.updated_at) == (before.state, before.updated_at)


@pytest.mark.parametrize(
    ("body", "status", "named"),
    [
        ({"tool": "heatmop"}, 400, "heatmap"),
        ({"arguments": {}}, 400, "feature"),
        ({"arguments": {"feature": "Area", "colour": 1}}, 400, "colour"),
        ({"object_type": "Cells"}, 404, ""),
    ],
)
def test_wrong_requests_name_what_is_wrong_and_make_no_job(api, screen, body, status, named):
    response = _request(api, screen, **body)

    assert response.status_code == status
    assert named in response.json()["message"]
    assert not Job.objects.exists()


def test_results_can_be_renamed_and_deleted(api, screen):
    identifier = _request(api, screen).json()["id"]
    url = _url(screen, "tool-results", identifier)

    renamed = api.patch(url, {"name": "Area of nuclei"}, content_type="application/json")
    deleted = api.delete(url)

    assert renamed.json()["name"] == "Area of nuclei"
    assert deleted.status_code == 204
    assert api.get(url).status_code == 404


def test_who_sees_one_plate_is_told_of_that_plate_only(api, client, screen):
    experiment, plate = screen["experiment"], screen["plate"]
    other = factories.PlateFactory(experiment=experiment)
    wells = {"B02": np.array([1, 2], np.float32)}
    manifest = write_objects(
        experiment_root(experiment.id), {str(plate.id): wells, str(other.id): wells}
    )
    Product.objects.filter(experiment=experiment).update(path=manifest)
    identifier = _request(api, screen).json()["id"]
    _do(Job.objects.get(kind="tool"))
    guest = factories.UserFactory()
    permissions.grant(subject=guest, level="view", obj=plate)
    permissions.grant(
        subject=guest, level="view", obj=ToolResult.objects.get(id=identifier).object_type
    )

    whole = api.get(_url(screen, "tool-results", identifier)).json()
    client.force_login(guest)
    one = client.get(_url(screen, "tool-results", identifier)).json()
    listed = client.get(_url(screen, "tool-results")).json()["results"][0]

    assert {each["id"] for each in whole["info"]["plates"]} == {str(plate.id), str(other.id)}
    assert [each["id"] for each in one["info"]["plates"]] == [str(plate.id)]
    assert [each["id"] for each in listed["info"]["plates"]] == [str(plate.id)]
    assert client.get(one["values_url"], {"plate": str(other.id)}).status_code == 404

"""The canonical workflow on a real plate: six steps, their products current, objects found."""

from __future__ import annotations

from pathlib import Path

import pytest

from apps.accounts.models import User
from apps.experiments.models import Mosaic, ObjectSet, Product
from apps.experiments.services import folder_register
from tests.data_sets import data_set
from tests.factories import AcquisitionFactory, ExperimentFactory, GroupFactory, PlateFactory
from tests.integration.jobs.engine import Engine, root_of
from tests.integration.workflows.test_workflows import Api, run

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.data]


def test_a_real_plate_goes_through_all_six_steps(
    engine: Engine, owner: User, settings: object
) -> None:
    folder = data_set("imagexpress_htd_3420_3433") / "9987_Plate_3433"
    settings.TISSUEMAPS_ROOTS = [Path(folder).parent]  # type: ignore[attr-defined]
    experiment = ExperimentFactory(group=GroupFactory(members=[owner]), owner=owner)
    root_of(experiment.id)
    acquisition = AcquisitionFactory(plate=PlateFactory(experiment=experiment))
    folder_register(
        user=owner, experiment_id=experiment.id, acquisition_id=acquisition.id, path=str(folder)
    )
    engine.worker(slots=2)
    api = Api(owner, experiment)
    body = api.get("workflow-description/")
    body["stages"][0]["steps"][2]["arguments"]["projection"] = "max"

    submitted = api.post("workflows/", {"description": body})
    path = f"workflows/{submitted['id']}/"
    engine.until(lambda: api.get(path)["state"] not in ("waiting", "running"), 240)
    first = api.get(path)

    assert first["state"] == "succeeded", first
    current = set(Product.objects.filter(is_current=True).values_list("name", flat=True))
    made = {"metadata", "layout", "plates", "illumination", "mosaic", "regions", "objects"}
    assert current == made
    assert Mosaic.objects.filter(is_current=True).count() == 1
    sets = ObjectSet.objects.filter(is_current=True).values_list("object_type__name", "n_objects")
    assert dict(sets)["Nuclei"] > 50
    again = run(engine, api, api.post(f"{path}resubmit/"))
    steps = [step for stage in again["stages"] for step in stage["steps"]]
    counts = [step["counts"] for step in steps if step["state"] != "skipped"]
    assert again["state"] == "succeeded"
    assert all(count["succeeded"] == 1 for count in counts), "only the plans run again"

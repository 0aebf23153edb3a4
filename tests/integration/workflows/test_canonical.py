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

FURTHER = """
channels: {dna: DAPI}
labels: {nuclei: Nuclei}
modules:
- {module: invert, inputs: {image: dna}, outputs: {inverted_image: negative}}
- {module: measure_intensity, inputs: {extract_objects: nuclei, intensity_image: [negative]}}
objects: [{name: Nuclei, labels: nuclei}]
images: [{name: negative, image: negative}]
"""

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
    n_nuclei = dict(sets)["Nuclei"]
    assert n_nuclei > 50
    again = run(engine, api, api.post(f"{path}resubmit/"))
    steps = [step for stage in again["stages"] for step in stage["steps"]]
    counts = [step["counts"] for step in steps if step["state"] != "skipped"]
    assert again["state"] == "succeeded"
    assert all(count["succeeded"] == 1 for count in counts), "only the plans run again"

    body["stages"][-1]["steps"][-1]["arguments"]["pipeline"] = FURTHER
    further = run(engine, api, api.post("workflows/", {"description": body}))
    told = [
        step["error"] for stage in further["stages"] for step in stage["steps"] if step["error"]
    ]
    assert further["state"] == "succeeded", told
    rows = ObjectSet.objects.filter(is_current=True)
    versions = dict(rows.values_list("object_type__name", "key"))
    assert versions["Nuclei"] != versions["Cells"], "what was not made again stays"
    assert dict(rows.values_list("object_type__name", "n_objects"))["Nuclei"] == n_nuclei
    shown = api.get("mosaics/?current=true")["results"]
    assert [c["name"] for m in shown if m["is_derived"] for c in m["channels"]] == ["negative"]

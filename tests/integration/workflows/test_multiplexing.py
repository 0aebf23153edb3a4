"""The multiplexing workflow on a simulated plate of two cycles: aligned, stitched, shown, analysed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from apps.accounts.models import User
from apps.experiments.models import LayoutVersion, Mosaic, ObjectSet, Product
from apps.experiments.services import folder_register
from tests.factories import AcquisitionFactory, ExperimentFactory, GroupFactory, PlateFactory
from tests.integration.jobs.engine import Engine, root_of
from tests.integration.workflows.test_workflows import Api
from tissuemaps.cli.simulate import simulate_plate

pytestmark = [pytest.mark.django_db(transaction=True)]


def test_two_cycles_go_through_all_steps(
    engine: Engine, owner: User, settings: Any, tmp_path: Path
) -> None:
    settings.TISSUEMAPS_ROOTS = [tmp_path]
    simulate_plate(
        tmp_path / "plate", rows=1, columns=1, sites=(2, 2), size=256, cycles=2, channels=2, seed=1
    )
    experiment = ExperimentFactory(
        group=GroupFactory(members=[owner]),
        owner=owner,
        workflow_type="multiplexing",
        acquisition_mode="multiplexing",
    )
    root_of(experiment.id)
    plate = PlateFactory(experiment=experiment)
    for number in (1, 2):
        acquisition = AcquisitionFactory(plate=plate, index=number - 1)
        folder_register(
            user=owner,
            experiment_id=experiment.id,
            acquisition_id=acquisition.id,
            path=str(tmp_path / "plate" / f"cycle_{number}"),
        )
    engine.worker(slots=2)
    api = Api(owner, experiment)
    body = api.get("workflow-description/")
    step = next(s for stage in body["stages"] for s in stage["steps"] if s["name"] == "align")
    assert step["active"]
    step["arguments"]["stitch"] = True

    submitted = api.post("workflows/", {"description": body})
    path = f"workflows/{submitted['id']}/"
    engine.until(lambda: api.get(path)["state"] not in ("waiting", "running"), 120)

    done = api.get(path)
    assert done["state"] == "succeeded", done
    key = Product.objects.get(name="alignment", is_current=True).key
    # Everything that is shown together lies where stitching has put it.
    assert LayoutVersion.objects.get(is_current=True).key == key
    assert Mosaic.objects.get(is_current=True).layout_key == key
    assert set(ObjectSet.objects.filter(is_current=True).values_list("layout_key", flat=True)) == {
        key
    }

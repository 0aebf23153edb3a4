"""Pipelines are checked where they are written, and tried on single sites with all that modules make."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pyarrow.parquet as pq
import pytest
import tifffile
from numpy.typing import NDArray

from apps.accounts.models import User
from apps.experiments.models import Channel, Experiment, Plate, Site
from apps.experiments.selectors import experiment_root
from apps.experiments.services import access_grant, folder_register
from apps.workflows.models import Preview
from tests.data_sets import data_set
from tests.factories import (
    AcquisitionFactory,
    ExperimentFactory,
    GroupFactory,
    PlateFactory,
    UserFactory,
)
from tests.integration.jobs.engine import Engine, root_of
from tests.integration.workflows.test_workflows import Api, run

pytestmark = pytest.mark.django_db(transaction=True)

TEXT = """version: 1
channels:
  dna: DAPI
modules:
- module: threshold_otsu
  inputs: {image: dna}
  outputs: {mask: bright}
- module: separate
  inputs: {mask: bright}
  outputs: {labels: nuclei}
- module: measure_intensity
  inputs: {extract_objects: nuclei, intensity_image: "*"}
objects:
- {name: Nuclei, labels: nuclei}
"""
MEASURE = """labels: {cells: Objects}
modules:
- {module: measure_morphology, inputs: {extract_objects: cells}}
objects: [{name: Cells, labels: cells}]
"""


@pytest.fixture
def api(owner: User) -> Api:
    experiment = ExperimentFactory(group=GroupFactory(members=[owner]), owner=owner)
    root_of(experiment.id)
    Channel.objects.create(
        experiment=experiment, index=0, name="Nuclei (blue)", layout_name="DAPI", dtype="uint16"
    )
    return Api(owner, experiment)


def check(api: Api, text: str) -> dict[str, Any]:
    return dict(api.post("pipeline/check/", {"pipeline": text}, 200))


def raw(api: Api, address: str) -> bytes:
    """Return the bytes behind an address."""
    answer = api.client.get(address)
    assert answer.status_code == 200, answer
    return b"".join(answer.streaming_content)


def test_a_good_pipeline_has_no_problem(api: Api) -> None:
    found = check(api, TEXT)

    assert found["problems"] == []
    assert found["object_types"] == ["Nuclei"]
    assert found["modules"] == ["threshold_otsu", "separate", "measure_intensity"]


@pytest.mark.parametrize(
    ("old", "new", "code", "line"),
    [
        ("dna: DAPI", "dna: Hoechst", "unknown_channel", 3),
        ("module: separate", "module: separates", "unknown_module", 8),
        ("{mask: bright}\n  outputs: {labels", "{mask: dna}\n  outputs: {labels", "wrong_type", 9),
        ("version: 1", "version: [", "invalid_pipeline", 3),
        ("modules:", "modul:", "invalid_pipeline", None),
        ("Nuclei, labels", "Nuclei, colour: red, labels", "invalid_pipeline", 14),
    ],
)
def test_problems_name_their_line(api: Api, old: str, new: str, code: str, line: int) -> None:
    assert old in TEXT

    problem = check(api, TEXT.replace(old, new, 1))["problems"][0]

    assert (problem["code"], problem["line"]) == (code, line)


def test_the_catalogue_tells_handles_and_arguments(api: Api) -> None:
    modules = {m["name"]: m for m in api.client.get("/api/v1/modules/").json()}

    smooth = modules["smooth"]
    assert smooth["inputs"] == [{"name": "image", "kind": "intensity", "optional": False}]
    assert smooth["outputs"] == [{"name": "smoothed_image", "kind": "intensity"}]
    assert "filter_name" in smooth["schema"]["properties"]
    assert modules["track_objects"]["remembers"]
    assert {m["works_on"] for m in modules.values()} == {"images", "masks", "objects", "measure"}


def test_templates_name_the_channels_that_play_their_roles(api: Api) -> None:
    bound = {t["name"]: t for t in api.get("pipeline/templates/")}
    plain = {t["name"]: t for t in api.client.get("/api/v1/pipeline-templates/").json()}

    assert "dna: DNA" in plain["nuclei"]["text"]
    assert "dna: DAPI" in bound["nuclei"]["text"]
    assert bound["nuclei"]["channels"] == ["DNA"]
    assert check(api, bound["nuclei"]["text"])["problems"] == []
    # One channel can't be both nuclei and cells: the role stays, and is told.
    problem = check(api, bound["nuclei-cells-cytoplasm"]["text"])["problems"][0]
    assert problem["code"] == "unknown_channel"


def test_a_preview_needs_images(api: Api) -> None:
    answer = api.post("pipeline/preview/", {"pipeline": TEXT}, expected=409)

    assert answer["code"] == "missing_input"


@pytest.fixture
def converted(engine: Engine, owner: User, settings: Any) -> tuple[Engine, Api]:
    """An experiment of a real plate whose images are converted."""
    folder = data_set("imagexpress_htd_3420_3433") / "9987_Plate_3433"
    settings.TISSUEMAPS_ROOTS = [Path(folder).parent]
    experiment: Experiment = ExperimentFactory(group=GroupFactory(members=[owner]), owner=owner)
    root_of(experiment.id)
    acquisition = AcquisitionFactory(plate=PlateFactory(experiment=experiment))
    folder_register(
        user=owner, experiment_id=experiment.id, acquisition_id=acquisition.id, path=str(folder)
    )
    engine.worker(slots=1)
    engine.worker("interactive", slots=1)
    api = Api(owner, experiment)
    body = api.get("workflow-description/")
    body["stages"][0]["steps"][2]["arguments"]["projection"] = "max"
    found = run(engine, api, api.post("workflows/", {"description": body, "until": "imextract"}))
    assert found["state"] == "succeeded", found
    return engine, api


def tried(engine: Engine, api: Api, body: dict[str, Any]) -> dict[str, Any]:
    made = api.post("pipeline/preview/", body)
    path = f"pipeline/preview/{made['id']}/"
    engine.until(lambda: api.get(path)["state"] not in ("waiting", "running"), 60)
    return dict(api.get(path))


@pytest.mark.data
def test_a_preview_shows_what_every_module_makes(
    converted: tuple[Engine, Api], owner: User
) -> None:
    engine, api = converted
    sites = [str(s) for s in Site.objects.order_by("index").values_list("id", flat=True)[:2]]

    found = tried(engine, api, {"pipeline": TEXT, "sites": sites})

    assert found["state"] == "succeeded", found
    assert [s["id"] for s in found["sites"]] == sites
    first = found["result"]["sites"][0]
    assert [m["module"] for m in first["modules"]] == [
        "threshold_otsu", "separate", "measure_intensity",
    ]  # fmt: skip
    assert all(m["seconds"] > 0 for m in first["modules"])
    (start,) = first["channels"]
    assert start["variable"] == "dna"
    drawn = imagecodecs.png_decode(raw(api, f"{found['files_url']}{start['picture']}/"))
    assert drawn.shape == (256, 256)
    assert drawn.max() == 255
    assert "Intensity_mean_FITC" in [f["name"] for f in found["result"]["features"]["Nuclei"]]
    labels = first["modules"][1]["outputs"][0]
    array = np.load(io.BytesIO(raw(api, f"{found['files_url']}{labels['array']}/")))
    assert array.shape == (256, 256)
    assert labels["n_objects"] == np.unique(array).size - 1 > 5
    picture = imagecodecs.png_decode(raw(api, f"{found['files_url']}{labels['picture']}/"))
    assert picture.shape == (256, 256, 3)
    measured = first["modules"][2]["outputs"][0]
    figure = imagecodecs.png_decode(raw(api, f"{found['files_url']}{measured['picture']}/"))
    assert figure.shape[2] == 3
    table = pq.read_table(io.BytesIO(raw(api, f"{found['files_url']}{measured['table']}/")))
    assert table.num_rows == array.max()
    assert found["result"]["images"] == Site.objects.count()
    assert found["result"]["core_seconds"] > 0

    _what_goes_wrong_is_told(engine, api)
    _uploaded_labels_are_measured(engine, api, sites, array)
    experiment = Experiment.objects.get()
    _who_sees_a_part_sees_no_preview(owner, experiment, found)
    folder = experiment_root(experiment.id) / "previews" / found["id"]
    assert folder.is_dir()
    assert api.client.delete(found["files_url"]).status_code == 204
    assert not folder.exists()


def sent(api: Api, address: str, data: bytes, expected: int = 201) -> Any:
    """Send a label image; returns the answer."""
    answer = api.client.post(
        f"{api.base}segmentations/?{address}", data, content_type="application/octet-stream"
    )
    assert answer.status_code == expected, answer.content
    return answer.json()


def tiff(labels: NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, labels)
    return buffer.getvalue()


def published(engine: Engine, api: Api) -> list[dict[str, Any]]:
    """Publish what waits and return all uploads once that is done."""
    api.post("segmentations/publish/")
    engine.until(lambda: not api.get("segmentations/?state=taken")["results"], 60)
    return list(api.get("segmentations/")["results"])


def _uploaded_labels_are_measured(
    engine: Engine, api: Api, sites: list[str], found: NDArray[Any]
) -> None:
    labels = np.where(found > 0, found + 70_000, 0).astype(np.uint32)
    sent(api, f"object_type=Cells&site={sites[0]}&name=a.tif", tiff(labels))
    sent(api, f"object_type=Cells&site={sites[0]}&name=b.tif", tiff(labels))
    png = imagecodecs.png_encode(np.zeros((256, 256), np.uint16))
    sent(api, f"object_type=Cells&site={sites[1]}&name=c.png", png)
    assert sent(api, f"object_type=Wells&site={sites[0]}", png, 400)["code"] == "reserved_name"
    assert sent(api, f"object_type=Cells&site={sites[0]}", b"", 400)["code"] == "empty_file"

    taken = published(engine, api)

    assert sorted((u["name"], u["state"]) for u in taken) == [
        ("b.tif", "published"), ("c.png", "published"),
    ]  # fmt: skip
    pipeline = MEASURE.replace("Objects", "uploaded:Cells")
    assert check(api, pipeline)["problems"] == []
    tried_one = tried(engine, api, {"pipeline": pipeline, "sites": sites[:1]})
    measured = tried_one["result"]["sites"][0]["modules"][0]["outputs"][0]
    area = next(f for f in measured["features"] if f["name"] == "Morphology_Area")
    areas = np.bincount(found.ravel())[1:]
    assert area["quartiles"] == np.percentile(areas[areas > 0], (0, 25, 50, 75, 100)).tolist()

    sent(api, f"object_type=Cells&site={sites[0]}&name=bad.tif", tiff(labels[:9, :9]))
    refused = published(engine, api)[0]
    assert (refused["name"], refused["state"]) == ("bad.tif", "failed")
    assert refused["error"]["code"] == "wrong_size"
    assert "bad.tif" in refused["error"]["message"]


def _what_goes_wrong_is_told(engine: Engine, api: Api) -> None:
    wrong = tried(engine, api, {"pipeline": TEXT.replace("dna: DAPI", "dna: DAPY")})
    assert wrong["state"] == "failed"
    assert wrong["error"]["code"] == "unknown_channel"
    assert "DAPY" in wrong["error"]["message"]

    answer = api.post(
        "pipeline/preview/", {"pipeline": TEXT, "arguments": {"sigma": -1}}, expected=400
    )
    assert "sigma" in answer["extra"]
    assert Preview.objects.count() == 2


def _who_sees_a_part_sees_no_preview(
    owner: User, experiment: Experiment, found: dict[str, Any]
) -> None:
    other = UserFactory()
    access_grant(
        user=owner,
        experiment_id=experiment.id,
        level="view",
        subject_user=other.username,
        plate=Plate.objects.get().id,
    )

    Api(other, experiment).get(f"pipeline/preview/{found['id']}/", expected=404)

"""The layout through the API: what it shows, corrections of it, and who may make them."""

from __future__ import annotations

from typing import Any

import pytest

from apps.core import permissions
from apps.experiments.models import LayoutEdit
from apps.experiments.selectors import experiment_description, experiment_root
from apps.experiments.services import products_apply
from gpu_workers.messages import LayoutCorrections
from gpu_workers.storage import layout as layouts
from gpu_workers.storage import paths, tables
from gpu_workers.storage.layout import (
    AcquisitionLayout,
    ChannelLayout,
    Layout,
    PlateLayout,
    SiteLayout,
    WellLayout,
)
from tests import factories

pytestmark = pytest.mark.django_db


def _layout(plate_id: str, acquisition: str) -> Layout:
    well = WellLayout(name="B02", row=1, column=1, y=0, x=0, height=10, width=20)
    sites = tuple(
        SiteLayout(index=i, name=str(i + 1), well="B02", y=0, x=10 * i, height=10, width=10)
        for i in range(2)
    )
    plate = PlateLayout(
        id=plate_id, name="P", slug="p", n_rows=8, n_columns=12, height=10, width=20,
        pitch=(512, 512), shard=512, n_levels=1, wells=(well,), sites=sites,
    )  # fmt: skip
    return Layout(
        key="k1", n_tpoints=1, n_zplanes=1, pixel_size_um=0.5, plates=(plate,),
        channels=(ChannelLayout(index=0, name="DAPI", color="#0000ff", dtype="uint16"),),
        acquisitions=(AcquisitionLayout(id=acquisition, name="a", plate=plate_id, index=0),),
    )  # fmt: skip


@pytest.fixture
def lab(settings, tmp_path, client):
    """An experiment whose layout metaconfig has just made, and an editor's client."""
    settings.TISSUEMAPS_DATA = tmp_path
    editor, viewer = factories.UserFactory(), factories.UserFactory()
    experiment = factories.ExperimentFactory(editor=editor, viewer=viewer)
    plate = factories.PlateFactory(experiment=experiment)
    acquisition = factories.AcquisitionFactory(plate=plate)
    root = experiment_root(experiment.id)
    layout = _layout(str(plate.id), str(acquisition.id))
    manifest = layouts.layout_path("k1")
    rows = [
        {
            "plate": str(plate.id), "well": "B02", "site": i, "acquisition": str(acquisition.id),
            "t": 0, "channel": 0, "z": 0, "role": "plane", "file": f"f{i}.tif", "page": 0, "sample": 0,
        }
        for i in range(2)
    ]  # fmt: skip
    columns = {name: [r.get(name) for r in rows] for name in layouts.PLANE_TYPES}
    tables.write_table(root / layouts.planes_path("k1"), columns, layouts.PLANE_TYPES)
    problem = {"severity": "warning", "code": "missing_planes", "message": "one", "files": []}
    paths.write_json((root / manifest).with_name("problems.json"), [problem])
    paths.write_json(root / manifest, layout.model_dump(mode="json"))
    products_apply(
        experiment_id=experiment.id, step="metaconfig", products={"layout": manifest}, output={}
    )
    client.force_login(editor)
    return {"experiment": experiment, "plate": plate, "viewer": viewer, "api": client}


def _url(lab: dict[str, Any], rest: str) -> str:
    return f"/api/v1/experiments/{lab['experiment'].id}/{rest}"


def _correct(lab: dict[str, Any], body: dict[str, Any]) -> Any:
    url = _url(lab, "layout/corrections/")
    return lab["api"].put(url, body, content_type="application/json")


def test_the_layout_shows_channels_plates_and_what_is_wrong(lab):
    found = lab["api"].get(_url(lab, "layout/")).json()

    assert (found["key"], found["n_sites"], found["pixel_size_um"]) == ("k1", 2, 0.5)
    assert [c["name"] for c in found["channels"]] == ["DAPI"]
    assert [p["n_wells"] for p in found["plates"]] == [1]
    assert [p["code"] for p in found["problems"]] == ["missing_planes"]


def test_planes_come_in_pages_and_by_site(lab):
    url = _url(lab, f"layout/planes/?plate={lab['plate'].id}")

    first = lab["api"].get(f"{url}&size=1").json()
    second = lab["api"].get(f"{url}&size=1&after={first['next']}").json()
    one = lab["api"].get(f"{url}&site=1").json()

    assert [r["file"] for r in first["results"] + second["results"]] == ["f0.tif", "f1.tif"]
    assert [r["file"] for r in one["results"]] == ["f1.tif"]
    assert one["next"] is None


def test_planes_follow_their_site_to_its_corrected_well(lab):
    root = experiment_root(lab["experiment"].id)
    raw = layouts.load_layout(root, layouts.layout_path("k1"))
    plate = raw.plates[0]
    moved = [
        s.model_copy(update={"well": "C03", "index": 1 - s.index, "raw": f"B/2/{s.index}"})
        for s in plate.sites
    ]
    found = [s.model_copy(update={"raw": f"B/2/{s.index}"}) for s in plate.sites]
    for path, sites in ((layouts.layout_path("k1"), moved[::-1]), ("layouts/k1/raw.json", found)):
        changed = raw.model_copy(
            update={"plates": (plate.model_copy(update={"sites": tuple(sites)}),)}
        )
        paths.write_json(root / path, changed.model_dump(mode="json"))

    url = _url(lab, f"layout/planes/?plate={lab['plate'].id}")
    there = lab["api"].get(f"{url}&well=C03&site=0").json()["results"]
    before = lab["api"].get(f"{url}&well=B02").json()["results"]

    assert [(r["file"], r["well"], r["site"]) for r in there] == [("f1.tif", "C03", 0)]
    assert before == []


def test_corrections_are_versions_that_the_next_run_is_told(lab):
    corrections = {"channels": [{"channel": "DAPI", "name": "Nuclei"}]}

    response = _correct(lab, {"corrections": corrections, "number": 0})

    assert response.status_code == 200, response.content
    assert response.json()["number"] == 1
    told = experiment_description(experiment_id=lab["experiment"].id).corrections
    assert told.channels[0].name == "Nuclei"


def test_the_same_corrections_again_make_no_version(lab):
    corrections = {"wells": [{"plate": str(lab["plate"].id), "well": "B02", "to": "C03"}]}

    numbers = [_correct(lab, {"corrections": corrections}).json()["number"] for _ in range(2)]

    assert numbers == [1, 1]
    assert LayoutEdit.objects.count() == 1


def test_two_people_do_not_overwrite_each_other(lab):
    _correct(lab, {"corrections": {"channels": [{"channel": "DAPI", "name": "A"}]}, "number": 0})

    late = _correct(
        lab, {"corrections": {"channels": [{"channel": "DAPI", "name": "B"}]}, "number": 0}
    )

    assert late.status_code == 409
    assert late.json()["code"] == "corrections_changed"


@pytest.mark.parametrize(
    ("corrections", "named"),
    [
        ({"channels": [{"channel": "DAPI", "colour": "red"}]}, "channels.0.colour"),
        ({"wells": "all"}, "wells"),
        ({"sites": [{"plate": "x", "well": "B02", "site": "1"}]}, "sites.0.plate"),
        ({"other": []}, "other"),
        ({"channels": [{"channel": "a\x00b"}]}, "channels.0.channel"),
        ({"channels": [{"channel": "D" * 100_000}]}, "channels.0.channel"),
    ],
)
def test_wrong_corrections_name_the_entry(lab, corrections, named):
    response = _correct(lab, {"corrections": corrections})

    assert response.status_code == 400
    assert named in response.json()["message"]
    assert not LayoutEdit.objects.exists()


def test_an_answer_to_many_wrong_corrections_is_short(lab):
    response = _correct(lab, {"corrections": {"wells": [{"well": 3}] * 20_000}})

    assert (response.status_code, response.json()["code"]) == (400, "invalid_corrections")
    assert len(response.content) < 10_000


def test_too_many_corrections_are_not_looked_at(lab):
    response = _correct(lab, {"corrections": {"wells": [{}] * 20_001}})

    assert (response.status_code, response.json()["code"]) == (400, "too_many_corrections")


def test_only_who_corrects_is_told_the_corrections(lab):
    _correct(lab, {"corrections": {"channels": [{"channel": "DAPI", "name": "nuclei"}]}})

    told = experiment_description(experiment_id=lab["experiment"].id)
    other = experiment_description(experiment_id=lab["experiment"].id, corrected=False)

    assert told.corrections.channels
    assert other == told.model_copy(update={"corrections": LayoutCorrections()})


def test_another_experiments_plate_is_not_known(lab):
    other = factories.PlateFactory()

    response = _correct(
        lab, {"corrections": {"wells": [{"plate": str(other.id), "well": "A01", "to": "B01"}]}}
    )

    assert response.json()["code"] == "unknown_plate"


def test_a_grant_on_another_plate_shows_neither_plates_nor_problems(lab):
    friend = factories.UserFactory()
    other = factories.PlateFactory(experiment=lab["experiment"])
    permissions.grant(subject=friend, level="view", obj=other)
    lab["api"].force_login(friend)

    found = lab["api"].get(_url(lab, "layout/")).json()
    planes = lab["api"].get(_url(lab, f"layout/planes/?plate={lab['plate'].id}"))

    assert (found["plates"], found["acquisitions"], found["problems"]) == ([], [], [])
    counts = [found[n] for n in ("n_plates", "n_wells", "n_sites", "n_problems")]
    assert counts == [0, 0, 0, 0]
    assert planes.status_code == 404

"""Channels that pipelines make of others: rows beside the microscope's, current each by itself."""

from __future__ import annotations

import json
from typing import Any

from apps.experiments.models import Channel, Mosaic
from apps.experiments.selectors import current_inputs, experiment_root
from apps.experiments.services import products_apply
from gpu_workers.storage import paths
from tests.integration.experiments.conftest import Lab
from tests.integration.experiments.test_products import _mosaic, _objects, apply, write_layout

A, B = "a" * 20, "b" * 20


def derived(lab: Lab, key: str, *names: str) -> str:
    """Write a manifest of derived channels; return its path."""
    root = experiment_root(lab.experiment.id)
    manifest: dict[str, Any] = json.loads(
        (root / _mosaic(lab, key)).read_text(), parse_constant=lambda _: None
    )
    channel = {**manifest["channels"][0], "dtype": "float32", "color": "#ffffff"}
    manifest["channels"] = [{**channel, "index": i, "name": n} for i, n in enumerate(names)]
    manifest["images"] = []
    path = f"derived/{key}/derived.json"
    paths.write_json(root / path, manifest)
    return path


def make(lab: Lab, key: str, *names: str) -> None:
    products_apply(
        experiment_id=lab.experiment.id,
        step="jterator",
        products={"derived": derived(lab, key, *names)},
        output={},
    )


def shown(lab: Lab) -> dict[str, tuple[int, int, str]]:
    """Return name -> (number in the experiment, place in the image, version) of what the map shows."""
    rows = lab.client.get(f"{lab.address}mosaics/?current=true").json()["results"]
    return {
        c["name"]: (c["index"], c["c"], m["key"][0]) for m in rows for c in m["channels"]
    }  # fmt: skip


def test_derived_channels_stand_beside_those_of_the_microscope(lab: Lab) -> None:
    apply(lab, "layout", write_layout(lab))
    apply(lab, "mosaic", _mosaic(lab, "1" * 20))

    make(lab, A, "ratio", "soft")

    assert shown(lab) == {"DAPI": (0, 0, "1"), "ratio": (1000, 0, "a"), "soft": (1001, 1, "a")}
    listed = lab.client.get(f"{lab.address}channels/").json()["results"]
    assert [(c["name"], c["is_derived"]) for c in listed] == [
        ("DAPI", False), ("GFP", False), ("ratio", True), ("soft", True),
    ]  # fmt: skip


def test_a_new_layout_or_mosaic_leaves_them(lab: Lab) -> None:
    apply(lab, "layout", write_layout(lab))
    make(lab, A, "ratio")

    apply(lab, "layout", write_layout(lab, key="9" * 20, channels=("DAPI",)))
    apply(lab, "mosaic", _mosaic(lab, "2" * 20))

    assert shown(lab) == {"DAPI": (0, 0, "2"), "ratio": (1000, 0, "a")}


def test_a_channel_made_anew_replaces_only_itself(lab: Lab) -> None:
    make(lab, A, "soft", "ratio")

    make(lab, B, "soft")

    assert shown(lab) == {"soft": (1000, 0, "b"), "ratio": (1001, 1, "a")}
    inputs = current_inputs(experiment_id=lab.experiment.id)
    assert inputs["derived/soft"] == f"derived/{B}/derived.json"
    assert inputs["derived/ratio"] == f"derived/{A}/derived.json"


def test_a_version_whose_channels_are_all_made_anew_is_current_no_more(lab: Lab) -> None:
    make(lab, A, "soft")
    make(lab, B, "soft")
    make(lab, B, "soft")

    assert Mosaic.objects.get(key=A).is_current is False
    make(lab, A, "soft")

    assert shown(lab) == {"soft": (1000, 0, "a")}
    assert Channel.objects.filter(is_derived=True).count() == 1


def test_a_person_may_name_them(lab: Lab) -> None:
    make(lab, A, "ratio")
    channel = Channel.objects.get(is_derived=True)

    lab.client.patch(
        f"{lab.address}channels/{channel.id}/", {"name": "FRET", "color": "#ff0000"}, format="json"
    )
    make(lab, B, "ratio")

    assert shown(lab) == {"FRET": (1000, 0, "b")}
    # pipelines know it as it was made
    assert "derived/ratio" in current_inputs(experiment_id=lab.experiment.id)


def test_a_step_may_use_the_current_version_of_each_type(lab: Lab) -> None:
    apply(lab, "objects", _objects(lab, A, ("Nuclei", "Cells"), ("Area",)))
    apply(lab, "regions", _objects(lab, "2" * 20, ("Wells",), ("Row",), regions=True))
    apply(lab, "objects", _objects(lab, B, ("Nuclei",), ("Area",)))

    inputs = current_inputs(experiment_id=lab.experiment.id)

    own = {name: path for name, path in inputs.items() if name.startswith("objects")}
    assert own == {
        "objects": f"objects/{B}/objects.json",
        "objects/Nuclei": f"objects/{B}/objects.json",
        "objects/Cells": f"objects/{A}/objects.json",
    }

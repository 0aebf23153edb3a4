"""A person's corrections of the layout: other names and places, the same pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpu_workers.messages import ExperimentDescription, LayoutCorrections
from gpu_workers.storage.layout import load_raw_layout, raw_sites
from gpu_workers.storage.plates import Plates
from tests.integration.conversion.source import Converted, convert, experiment, image, write_images

WELLS = ("B02", "B03")
NAMES = [f"p_{w}_s{s}_w{c}.tif" for w in WELLS for s in range(1, 5) for c in (1, 2)]
PIXELS = {name: image(seed) for seed, name in enumerate(NAMES)}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Converted:
    """Return the plate as it was found, converted."""
    root = tmp_path_factory.mktemp("corrections")
    return convert(root, experiment(write_images(root / "images", NAMES)))


def _corrected(found: Converted, **corrections: list[dict[str, Any]]) -> ExperimentDescription:
    plate = found.layout.plates[0].id
    entries = {
        kind: [entry if kind == "channels" else {"plate": plate, **entry} for entry in some]
        for kind, some in corrections.items()
    }
    described = experiment(found.root / "images")
    return described.model_copy(update={"corrections": LayoutCorrections(**entries)})


def _layout(found: Converted, **corrections: list[dict[str, Any]]) -> Converted:
    return convert(found.root, _corrected(found, **corrections), until="metaconfig")


def _messages(result: Converted) -> list[str]:
    return [p.message for p in result.problems if p.code == "bad_correction"]


def _stored(root: Path, folder: str) -> dict[str, tuple[int, int]]:
    return {
        str(p.relative_to(root)): (p.stat().st_ino, p.stat().st_mtime_ns)
        for p in (root / folder).rglob("c/**/*")
        if p.is_file()
    }


def test_corrections_move_no_pixel(found: Converted) -> None:
    before = _stored(found.root, "plates")

    result = convert(
        found.root,
        _corrected(
            found,
            channels=[{"channel": "w1", "name": "DAPI", "color": "#0000ff"}],
            wells=[{"well": "B02", "to": "D07"}],
            sites=[{"well": "B03", "site": "1", "cell": (1, 1)}, {"well": "B03", "site": "4", "cell": (0, 0)}],
        ),
    )  # fmt: skip

    assert len(before) == len(NAMES)
    assert _stored(found.root, "plates") == before
    assert result.inputs["layout"] != found.inputs["layout"]
    assert result.inputs["plates"] == found.inputs["plates"]
    layout = result.layout
    assert (layout.channels[0].name, layout.channels[0].color) == ("DAPI", "#0000ff")
    (plate,) = layout.plates
    assert [w.name for w in plate.wells] == ["B03", "D07"]
    corners = {(s.well, s.name): (s.y, s.x) for s in plate.sites}
    old = {(s.well, s.name): (s.y, s.x) for s in found.layout.plates[0].sites}
    assert corners["B03", "1"] == (64, 80)
    assert corners["B03", "4"] == (0, 0)
    assert corners["B03", "2"][0] == old["B02", "2"][0]
    plates = Plates.open(found.root, result.inputs["plates"], layout)
    for site in plate.sites:
        well = "B02" if site.well == "D07" else site.well
        for c in range(2):
            stored = plates.read(plate.id, site.index, 0, c, 0)
            np.testing.assert_array_equal(stored, PIXELS[f"p_{well}_s{site.name}_w{c + 1}.tif"])


def test_raw_sites_lead_to_the_source_files(found: Converted) -> None:
    result = _layout(found, wells=[{"well": "B02", "to": "H12"}])

    raw = raw_sites(load_raw_layout(result.root, result.inputs["layout"]).plates[0])
    files = {(p["site"], p["channel"]): p["file"] for p in result.planes}
    last = result.layout.plates[0].sites[-1]
    assert (last.well, last.name) == ("H12", "4")
    assert last.raw is not None
    assert files[raw[last.raw], 1] == "p_B02_s4_w2.tif"


def test_wells_swap(found: Converted) -> None:
    result = _layout(found, wells=[{"well": "B02", "to": "b3"}, {"well": "B03", "to": "B02"}])

    assert _messages(result) == []
    sites = result.layout.plates[0].sites
    assert [(s.well, s.raw) for s in sites if s.name == "1"] == [("B02", "B/3/0"), ("B03", "B/2/0")]


def test_a_grid_in_place_of_positions(found: Converted) -> None:
    result = _layout(found, grids=[{"stitch_layout": "vertical", "n_vertical": 4}])

    sites = [s for s in result.layout.plates[0].sites if s.well == "B02"]
    assert [(s.y, s.x) for s in sites] == [(0, 0), (64, 0), (128, 0), (192, 0)]


def test_a_site_in_another_well_and_one_left_out(found: Converted) -> None:
    result = _layout(
        found,
        sites=[{"well": "B03", "site": "4", "to_well": "C05"}, {"well": "B02", "site": "1", "omit": True}],
        wells=[{"well": "B02"}],
    )  # fmt: skip

    (plate,) = result.layout.plates
    assert [(s.well, s.name, s.index) for s in plate.sites] == [
        ("B03", "1", 0), ("B03", "2", 1), ("B03", "3", 2), ("C05", "4", 3),
    ]  # fmt: skip
    assert len(load_raw_layout(found.root, result.inputs["layout"]).plates[0].sites) == 8


UNKNOWN = "00000000-0000-0000-0000-000000000001"


@pytest.mark.parametrize(
    ("corrections", "words"),
    [
        ({"channels": [{"channel": "Cy5", "name": "x"}]}, ["channel 'Cy5'", "w1, w2"]),
        ({"channels": [{"channel": "w1", "name": "w2"}]}, ["'w1'", "'w2'"]),
        ({"channels": [{"channel": "w1", "name": n} for n in "ab"]}, ["w1", "2 of them"]),
        ({"wells": [{"well": "C09", "to": "A01"}]}, ["well C09", "no image"]),
        ({"wells": [{"well": "B02", "to": "Q99"}]}, ["well B02", "'Q99'"]),
        ({"wells": [{"well": "B02", "to": "B03"}]}, ["well B03", "site 1 twice"]),
        ({"wells": [{"well": "B02"}, {"well": "B03"}]}, ["no site would be left"]),
        ({"wells": [{"plate": UNKNOWN, "well": "B02"}]}, [f"plate {UNKNOWN}", "no such plate"]),
        ({"sites": [{"well": "B02", "site": "9", "omit": True}]}, ["site 9 of well B02", "no such site"]),
        ({"sites": [{"well": "B02", "site": "1", "to_well": "B99"}]}, ["site 1", "'B99'"]),
        ({"sites": [{"well": "B02", "site": "1", "to_well": "B03"}]}, ["well B03", "site 1 twice"]),
        ({"sites": [{"well": "B02", "site": "1", "omit": True, "to_well": "C01"}]}, ["site 1", "left out and"]),
        ({"sites": [{"well": "B02", "site": "1", "cell": (7, 0)}]}, ["2 rows", "row 7"]),
        ({"sites": [{"well": "B02", "site": "1", "cell": (0, 1)}]}, ["sites 1 and 2 of B02", "one place"]),
        ({"grids": [{"plate": UNKNOWN}]}, ["grid", UNKNOWN]),
        ({"grids": [{"n_vertical": 1, "n_horizontal": 1}]}, ["1 x 1 places"]),
    ],
)  # fmt: skip
def test_corrections_that_make_no_sense(
    found: Converted, corrections: dict[str, Any], words: list[str]
) -> None:
    result = _layout(found, **corrections)

    (message,) = _messages(result)
    assert all(word in message for word in words), message
    assert {p.severity for p in result.problems if p.code == "bad_correction"} == {"error"}
    assert [(s.well, s.name, s.y, s.x, s.raw) for s in result.layout.plates[0].sites] == [
        (s.well, s.name, s.y, s.x, s.raw) for s in found.layout.plates[0].sites
    ]
    assert [c.name for c in result.layout.channels] == ["w1", "w2"]


def test_what_makes_sense_holds_beside_what_does_not(found: Converted) -> None:
    result = _layout(
        found,
        channels=[{"channel": "w2", "name": "GFP"}, {"channel": "w7", "name": "x"}],
        wells=[{"well": "Z99", "to": "A01"}, {"well": "B03", "to": "A01"}],
    )

    assert len(_messages(result)) == 2
    assert [c.name for c in result.layout.channels] == ["w1", "GFP"]
    assert [w.name for w in result.layout.plates[0].wells] == ["A01", "B02"]


def test_thousands_that_make_no_sense_are_counted(found: Converted) -> None:
    wrong = [{"well": "C04", "site": str(i), "omit": True} for i in range(1000)]

    messages = _messages(_layout(found, sites=wrong))

    assert len(messages) == 101
    assert "C04" in messages[0]
    assert messages[-1] == "900 more corrections are left out"

"""Bad and unusual input through the public HTTP API: named in the answers, the rest stays usable."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import numpy as np
import pytest
import tifffile

from tests.e2e.conftest import Platform

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

WAIT_S = 150
DONE = {"succeeded", "failed", "killed"}
WELLS = ("A01", "A02", "B01")
SIZE = 128
Pixels = np.ndarray[Any, Any]


def _cells(seed: int) -> Pixels:
    """Return a few bright discs on a noisy ground."""
    rng = np.random.default_rng(seed)
    image = rng.normal(300, 20, (SIZE, SIZE))
    y, x = np.mgrid[:SIZE, :SIZE]
    for centre in ((30, 35), (90, 40), (60, 95)):
        image += 3000 * ((y - centre[0]) ** 2 + (x - centre[1]) ** 2 < 12**2)
    return image.astype("uint16")


def _write(folder: Path, picture: Callable[[int], Pixels] = _cells) -> Path:
    folder.mkdir(parents=True)
    names = [f"p_{well}_s{site}_w{c}.tif" for well in WELLS for site in (1, 2) for c in (1, 2)]
    for seed, name in enumerate(names):
        tifffile.imwrite(folder / name, picture(seed))
    return folder


@dataclass
class Screen:
    """An experiment on the running platform."""

    platform: Platform
    base: str

    def acquire(self, plate: str, name: str, folder: Path | None) -> None:
        client = self.platform.client
        body = {"plate": plate, "name": name}
        made = client.post(f"{self.base}/acquisitions/", body)
        if folder is not None:
            files = f"{self.base}/acquisitions/{made['id']}/files/"
            client.upload_folder(files, folder, lambda _done: None)

    def plate(self, name: str, folder: Path | None) -> str:
        made = self.platform.client.post(f"{self.base}/plates/", {"name": name})["id"]
        self.acquire(made, "first", folder)
        return str(made)

    def run(self) -> dict[str, Any]:
        """Submit the workflow and return it as it ended."""
        workflow = self.platform.client.post(f"{self.base}/workflows/", {})
        deadline = time.monotonic() + WAIT_S
        while workflow["state"] not in DONE:
            assert time.monotonic() < deadline, f"still {workflow['state']} after {WAIT_S} s"
            time.sleep(0.3)
            workflow = self.platform.client.get(f"{self.base}/workflows/{workflow['id']}/")
        return dict(workflow)

    def every(self, path: str) -> list[Any]:
        return list(self.platform.client.every(f"{self.base}/{path}"))

    def bytes(self, path: str) -> bytes:
        """Return what is not JSON."""
        request = Request(
            f"{self.platform.url}/api/v1/{self.base}/{path}",
            headers={"Authorization": f"Bearer {self.platform.client.token}"},
        )
        with urlopen(request, timeout=60) as answer:
            return bytes(answer.read())

    def heat_map(self, feature: str) -> dict[str, Any]:
        body = {
            "tool": "heatmap", "object_type": "Nuclei", "name": feature,
            "arguments": {"object_type": "Nuclei", "feature": feature},
        }  # fmt: skip
        result = self.platform.client.post(f"{self.base}/tool-requests/", body)
        deadline = time.monotonic() + WAIT_S
        while result["state"] not in DONE and time.monotonic() < deadline:
            time.sleep(0.2)
            result = self.platform.client.get(f"{self.base}/tool-results/{result['id']}/")
        return dict(result)


@pytest.fixture
def screen(platform: Platform, request: pytest.FixtureRequest) -> Screen:
    client = platform.client
    group = next(iter(client.every("groups/")))["id"]
    made = client.post("experiments/", {"name": request.node.name, "group": group})
    return Screen(platform, f"experiments/{made['id']}")


def _steps(workflow: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for stage in workflow["stages"]:
        yield from stage["steps"]


def _named(workflow: dict[str, Any]) -> dict[str, set[str]]:
    """Return the files that the steps' problems name, by code."""
    found: dict[str, set[str]] = {}
    for step in _steps(workflow):
        for problem in step["problems"]:
            found.setdefault(problem["code"], set()).update(problem["files"])
    return found


def test_bad_files_among_good_ones_are_named_and_cost_only_themselves(
    screen: Screen, tmp_path: Path
) -> None:
    folder = _write(tmp_path / "mixed")
    cut = folder / "p_A01_s1_w2.tif"
    cut.write_bytes(cut.read_bytes()[:5000])
    (folder / "p_A01_s2_w2.tif").write_text("Dear colleague, the plate is in the fridge.")
    tifffile.imwrite(folder / "p_A02_s1_w1.tif", _cells(0)[:64])
    tifffile.imwrite(folder / "p_A02_s2_w2.tif", _cells(0).astype("uint8"))
    (folder / "p_B01_s1_w2.tif").unlink()
    shutil.copy(folder / "p_B01_s2_w1.tif", folder / "again_B01_s2_w1.tif")
    screen.plate("mixed", folder)

    workflow = screen.run()

    assert workflow["state"] == "succeeded", workflow
    named = _named(workflow)
    assert named["truncated_file"] == {"p_A01_s1_w2.tif"}
    assert named["not_an_image"] == {"p_A01_s2_w2.tif"}
    assert named["other_size"] == {"p_A02_s1_w1.tif"}
    assert named["other_type"] == {"p_A02_s2_w2.tif"}
    assert named["several_files"] == {"p_B01_s2_w1.tif", "again_B01_s2_w1.tif"}
    assert {"missing_planes", "missing_plane"} <= set(named)
    (metaextract,) = (s for s in _steps(workflow) if s["name"] == "metaextract")
    jobs = screen.every(f"workflows/{workflow['id']}/jobs/?step={metaextract['id']}")
    (collect,) = (j for j in jobs if j["kind"] == "collect")
    log = screen.platform.client.get(f"{screen.base}/jobs/{collect['id']}/log/")["text"]
    assert "p_A01_s1_w2.tif is damaged or cut short" in log
    # four sites of six have the nuclei's channel, with three nuclei each
    (nuclei,) = (s for s in screen.every("object-sets/") if s["object_type"]["name"] == "Nuclei")
    assert nuclei["n_objects"] == 12
    (mosaic,) = screen.every("mosaics/?current=true")
    assert screen.bytes(f"mosaics/{mosaic['id']}/render/?size=64").startswith(b"\x89PNG")


def test_a_black_plate_goes_all_the_way_without_an_object(screen: Screen, tmp_path: Path) -> None:
    screen.plate("black", _write(tmp_path / "black", lambda _: np.zeros((SIZE, SIZE), "uint16")))

    workflow = screen.run()

    assert workflow["state"] == "succeeded", workflow
    sets = screen.every("object-sets/?current=true")
    sets = [s for s in sets if s["object_type"]["name"] not in {"Plates", "Wells", "Sites"}]
    assert {s["object_type"]["name"]: s["n_objects"] for s in sets} == {"Nuclei": 0, "Cells": 0}
    feature = sets[0]["features"][0]["name"]
    assert screen.bytes(f"object-sets/{sets[0]['id']}/features/{feature}/") == b""
    assert screen.heat_map(feature)["state"] == "succeeded"
    (mosaic,) = screen.every("mosaics/?current=true")
    assert screen.bytes(f"mosaics/{mosaic['id']}/render/?size=64").startswith(b"\x89PNG")


def test_plates_of_other_size_and_depth_and_one_without_files(
    screen: Screen, tmp_path: Path
) -> None:
    screen.plate("deep", _write(tmp_path / "deep"))
    small = _write(tmp_path / "shallow", lambda seed: (_cells(seed)[:100] // 16).astype("uint8"))
    shallow = screen.plate("shallow", small)
    screen.plate("forgotten", None)

    workflow = screen.run()

    assert workflow["state"] == "succeeded", workflow
    problems = {p["code"]: p["message"] for s in _steps(workflow) for p in s["problems"]}
    assert problems["no_folder"].startswith(
        "acquisition 'first' of plate 'forgotten' has no files yet"
    )
    assert "uint8" in problems["types_differ"]
    sets = [s for s in screen.every("object-sets/") if s["object_type"]["name"] == "Nuclei"]
    assert {s["plate"]["name"]: s["n_objects"] for s in sets} == {"deep": 18, "shallow": 18}
    (mosaic,) = (m for m in screen.every("mosaics/") if m["plate"]["id"] == shallow)
    values = screen.platform.client.get(f"{screen.base}/mosaics/{mosaic['id']}/pixels/?y=30&x=35")[
        "values"
    ]
    assert values[0]["value"] == tifffile.imread(small / "p_A01_s1_w1.tif")[30, 35]


def test_nothing_but_an_empty_acquisition_says_what_to_do(screen: Screen) -> None:
    screen.plate("forgotten", None)

    workflow = screen.run()

    assert workflow["state"] == "failed"
    first, *others = _steps(workflow)
    assert first["error"]["message"] == (
        "acquisition 'first' of plate 'forgotten' has no files yet: upload some or register a folder"
    )
    # Stitching is left out until somebody asks for it.
    assert {s["state"] for s in others if s["name"] != "align"} == {"waiting"}

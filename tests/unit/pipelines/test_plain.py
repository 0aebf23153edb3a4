"""Pipelines on plain files: what the command line reads, writes and refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pandas as pd
import pytest
import tifffile
from numpy.typing import NDArray
from scipy import ndimage

from gpu_workers.__main__ import main

MEASURE = """
channels: {}
labels: {objects: Objects}
modules:
- {module: measure_intensity, inputs: {extract_objects: objects, intensity_image: "*"}}
- {module: measure_morphology, inputs: {extract_objects: objects}}
objects: [{name: Objects, labels: objects}]
"""
FIND = """
scale: unit
channels: {dna: DNA}
modules:
- {module: threshold_otsu, inputs: {image: dna}, outputs: {mask: bright}}
- {module: separate, inputs: {mask: bright}, arguments: {method: none}, outputs: {labels: nuclei}}
- {module: measure_intensity, inputs: {extract_objects: nuclei, intensity_image: dna}}
objects: [{name: Nuclei, labels: nuclei}]
images: [{name: Copy, image: dna}]
"""


def blobs(seed: int, side: int = 64) -> NDArray[np.uint8]:
    """Return four bright squares of known size on a dark ground, the first at the border."""
    image = np.full((side, side), 10, np.uint8)
    for number, (y, x) in enumerate([(0, 3), (20, 20), (20, 45), (45, 30)]):
        image[y : y + 6 + number, x : x + 8] = 100 + 10 * number + seed
    return image


def folder_of_images(folder: Path, n: int = 2) -> Path:
    for number in range(n):
        image = blobs(number)
        (folder / f"img_{number}.png").write_bytes(imagecodecs.png_encode(image))
        labels, _ = ndimage.label(image > 50)
        tifffile.imwrite(folder / f"lab_{number}.tif", labels.astype(np.uint16))
    return folder


def run(folder: Path, pipeline: str, *options: str, out: str = "out") -> Path:
    text = folder / "pipeline.yaml"
    text.write_text(pipeline)
    target = folder / out
    assert main(["pipeline", "run", str(text), "--out", str(target), *options]) == 0
    return target


def table(out: Path, name: str) -> pd.DataFrame:
    return pd.read_parquet(out / "features" / f"{name}.parquet")


def test_labels_measurements_and_a_report_are_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder_of_images(tmp_path)

    out = run(tmp_path, FIND, "--channel", f"DNA={tmp_path}/img_*.png")

    found = table(out, "Nuclei")
    assert list(found.columns[:2]) == ["image", "label"]
    assert found["image"].tolist() == ["img_0"] * 4 + ["img_1"] * 4
    labels = tifffile.imread(out / "labels" / "Nuclei" / "img_1.tif")
    assert labels.dtype == np.uint32
    image = blobs(1) / 255
    expected = ndimage.mean(image, labels, found["label"][4:])
    np.testing.assert_allclose(found["Intensity_mean_DNA"][4:], expected, rtol=1e-12)
    assert found["is_border"].tolist() == [True, False, False, False] * 2
    report = json.loads((out / "run.json").read_text())
    assert report["matched_by"] == "wildcards"
    assert report["objects"] == {"Nuclei": 8}
    assert [m["module"] for m in report["modules"]] == [
        "threshold_otsu", "separate", "measure_intensity",
    ]  # fmt: skip
    assert all(m["seconds"] > 0 for m in report["modules"])
    assert report["versions"]["numpy"] == np.__version__
    np.testing.assert_array_equal(tifffile.imread(out / "images/Copy/img_0.tif"), blobs(0) / 255)
    assert "8 Nuclei" in capsys.readouterr().out


def test_given_labels_keep_their_numbers(tmp_path: Path) -> None:
    folder_of_images(tmp_path)
    far = tifffile.imread(tmp_path / "lab_1.tif").astype(np.uint32)
    far[far > 0] += np.uint32(4_000_000_000)
    far[far == 4_000_000_002] = 7
    tifffile.imwrite(tmp_path / "lab_1.tif", far)

    out = run(
        tmp_path, MEASURE, "--channel", f"DNA={tmp_path}/img_*.png",
        "--objects", f"Cells={tmp_path}/lab_*.tif",
    )  # fmt: skip

    found = table(out, "Cells")
    second = found[found["image"] == "img_1"].set_index("label")
    assert sorted(second.index) == [7, 4_000_000_001, 4_000_000_003, 4_000_000_004]
    for label in second.index:
        assert second.loc[label, "Morphology_Area"] == (far == label).sum()
    np.testing.assert_array_equal(tifffile.imread(out / "labels/Cells/img_1.tif"), far)


def test_links_are_followed_and_give_the_name(tmp_path: Path) -> None:
    folder_of_images(tmp_path)
    links = tmp_path / "links"
    links.mkdir()
    (links / "one.png").symlink_to(tmp_path / "img_0.png")
    (links / "one.tif").symlink_to(tmp_path / "lab_0.tif")

    out = run(tmp_path, MEASURE, "--channel", f"DNA={links}/*.png", "--objects", f"X={links}/*.tif")

    assert table(out, "X")["image"].tolist() == ["one"] * 4


def test_two_processes_find_what_one_finds(tmp_path: Path) -> None:
    folder_of_images(tmp_path, 3)
    channel = ("--channel", f"DNA={tmp_path}/img_*.png")

    one = run(tmp_path, FIND, *channel)
    two = run(tmp_path, FIND, *channel, "--workers", "2", out="two")

    pd.testing.assert_frame_equal(table(one, "Nuclei"), table(two, "Nuclei"))


def test_colours_are_told_apart(tmp_path: Path) -> None:
    grey = np.repeat(blobs(0)[..., None], 3, axis=2)
    purple = grey * np.array([1, 0, 1], np.uint8)
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(grey))
    (tmp_path / "b.png").write_bytes(imagecodecs.png_encode(purple))
    pipeline = FIND.replace("{dna: DNA}", "{dna: DNA, green: DNA_G}").replace(
        "intensity_image: dna", "intensity_image: [dna, green]"
    )

    out = run(tmp_path, pipeline, "--channel", f"DNA={tmp_path}/*.png")

    found = table(out, "Nuclei").groupby("image").first()
    assert found.loc["a", "Intensity_max_DNA"] == found.loc["a", "Intensity_max_DNA_G"] == 100 / 255
    assert found.loc["b", "Intensity_max_DNA_G"] == 0
    assert found.loc["b", "Intensity_max_DNA"] == round(100 * (0.299 + 0.114)) / 255


def test_a_missing_channel_of_one_image_costs_its_values_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder_of_images(tmp_path)
    (tmp_path / "gfp_0.png").write_bytes(imagecodecs.png_encode(blobs(9)))
    pipeline = FIND.replace("{dna: DNA}", "{dna: DNA, gfp: GFP}").replace(
        "intensity_image: dna", "intensity_image: [dna, gfp]"
    )

    out = run(
        tmp_path, pipeline, "--channel", f"DNA={tmp_path}/img_*.png",
        "--channel", f"GFP={tmp_path}/gfp_*.png",
    )  # fmt: skip

    found = table(out, "Nuclei")
    assert found["Intensity_mean_GFP"].isna().tolist() == [False] * 4 + [True] * 4
    assert found["Intensity_mean_DNA"].notna().all()
    assert "img_1: no file of GFP" in capsys.readouterr().err


def test_images_without_objects_have_empty_tables(tmp_path: Path) -> None:
    (tmp_path / "img_0.png").write_bytes(imagecodecs.png_encode(np.zeros((20, 30), np.uint8)))

    out = run(tmp_path, FIND, "--channel", f"DNA={tmp_path}/img_*.png")

    assert table(out, "Nuclei").shape[0] == 0
    assert "Intensity_mean_DNA" in table(out, "Nuclei").columns
    assert not tifffile.imread(out / "labels/Nuclei/img_0.tif").any()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--channel", "DNA={}/nothing_*.png"], "no_files"),
        (["--channel", "DNA"], "write NAME=VALUE"),
        (["--channel", "A={}/img_*.png", "--channel", "B={}/img_*.png"], "missing_channel"),
        (["--channel", "DNA={}/img_*.png", "--objects", "X={}/lab_*.tif"], "unknown_objects"),
        (["--channel", "DNA={}/pipeline.yaml"], "pipeline.yaml is no image"),
        (["--channel", "DNA={}/img_*.png", "--device", "gpu"], "no_gpu"),
        (["--channel", "DNA={}/img_*.png", "--channel", "G={}/other_*.png"], "differ in size"),
    ],
)
def test_what_is_wrong_is_named_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], told: str
) -> None:
    folder_of_images(tmp_path)
    for number in range(2):
        other = imagecodecs.png_encode(blobs(0, 80))
        (tmp_path / f"other_{number}.png").write_bytes(other)
    (tmp_path / "pipeline.yaml").write_text(FIND)
    arguments: list[Any] = [o.format(tmp_path) for o in options]

    status = main(
        ["pipeline", "run", f"{tmp_path}/pipeline.yaml", "--out", f"{tmp_path}/out", *arguments]
    )

    assert status == 1
    error = capsys.readouterr().err
    assert told in error
    assert "Traceback" not in error


def test_templates_and_modules_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pipeline", "templates", "--json"]) == 0
    templates = json.loads(capsys.readouterr().out)
    assert "nuclei" in [t["name"] for t in templates]

    assert main(["pipeline", "modules", "--json"]) == 0
    modules = {m["name"]: m for m in json.loads(capsys.readouterr().out)}
    assert modules["separate"]["outputs"] == [{"name": "labels", "kind": "labels"}]
    assert {a["name"] for a in modules["separate"]["arguments"]} >= {"method", "min_distance"}

    assert main(["pipeline", "check", "nuclei"]) == 0


def test_what_all_images_will_take_is_told_before(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder_of_images(tmp_path, 3)
    (tmp_path / "pipeline.yaml").write_text(FIND)
    images = f"DNA={tmp_path}/img_*.png"

    command = ["pipeline", "run", f"{tmp_path}/pipeline.yaml", "--channel", images, "--estimate"]
    assert main([*command, "--json"]) == 0

    told = json.loads(capsys.readouterr().out)
    assert [m["module"] for m in told["modules"]] == [
        "threshold_otsu", "separate", "measure_intensity",
    ]  # fmt: skip
    assert told["images"] == 3
    spent = told["read_s"] + sum(m["seconds"] for m in told["modules"])
    assert told["seconds_per_image"] == pytest.approx(spent, abs=1e-4)
    assert told["seconds"] == pytest.approx(3 * told["seconds_per_image"], abs=1e-2)
    assert not (tmp_path / "labels").exists()
    assert main(command) == 0
    assert "for 3 image(s)" in capsys.readouterr().out
    assert main(["pipeline", "run", "nuclei", "--channel", images]) == 1
    assert "--out" in capsys.readouterr().err

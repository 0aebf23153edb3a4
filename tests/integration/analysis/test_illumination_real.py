"""Illumination of real plates and slides: how even images are before and after correction."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import numpy as np
import pytest
import tifffile

from gpu_workers.registry import StepContext
from gpu_workers.runner.execute import run_step
from gpu_workers.steps.corilla.vendor import vendor_fields
from gpu_workers.storage.illumination import (
    ChannelIllumination,
    Corrections,
    load_correction,
    load_manifest,
)
from tests.data_sets import data_set, unpacked
from tests.integration.conversion.source import convert, experiment
from tests.integration.mosaics import plates

pytestmark = pytest.mark.data
SIDE, STEP = 512, 460
Factory = pytest.TempPathFactory


def estimated(root: Path, images: list[np.ndarray]) -> tuple[ChannelIllumination, str]:
    """Write images as sites beside each other; return what corilla says of them, and its manifest."""
    n = len(images)
    boxes = [[(0, i * SIDE, SIDE, SIDE) for i in range(n)]]
    made = plates.layout(boxes, (str(images[0].dtype),), height=SIDE, width=SIDE * n)
    inputs = plates.write(root, made, {(i, 0, 0, 0): image for i, image in enumerate(images)})
    output, _ = run_step(root, "corilla", plates.experiment(), {"batch_size": 20}, inputs)
    path = output.products["illumination"]
    return load_manifest(root, path).channels[0], path


def overlap_ratio(images: dict[str, np.ndarray]) -> float:
    """Return the median |log ratio of means| of the 52 px where neighbours of the nominal grid overlap."""
    text = (data_set("wsi_brain_tiles") / "TileConfiguration.txt").read_text()
    found = re.findall(r"(\S+\.tif); ; \((\S+), (\S+)\)", text)
    placed = {(round(float(y)), round(float(x))): images[name] for name, x, y in found}
    assert len(placed) == 54
    width, ratios = SIDE - STEP, []
    for (y, x), tile in placed.items():
        right, below = placed.get((y, x + STEP)), placed.get((y + STEP, x))
        if right is not None:
            ratios.append(np.log(tile[:, -width:].mean() / right[:, :width].mean()))
        if below is not None:
            ratios.append(np.log(tile[-width:].mean() / below[:width].mean()))
    assert len(ratios) == 93
    return float(np.median(np.abs(ratios)))


@pytest.fixture(scope="module")
def brain(tmp_path_factory: Factory) -> dict[str, np.ndarray]:
    folder = unpacked("wsi_brain_tiles", tmp_path_factory)
    return {path.name: tifffile.imread(path) for path in sorted(folder.rglob("*.tif"))}


@pytest.fixture(scope="module")
def lamp(
    brain: dict[str, np.ndarray], tmp_path_factory: Factory
) -> tuple[Path, ChannelIllumination, str]:
    root = tmp_path_factory.mktemp("lamp")
    entry, path = estimated(root, list(brain.values()))
    return root, entry, path


Lamp = tuple[Path, ChannelIllumination, str]


# Seen: basic 0.027, flat 0.039, std 0.058 (which is refused for 63 images); raw 0.206.
@pytest.mark.parametrize(("method", "most"), [("auto", 0.05), ("flat", 0.06), ("std", 0.10)])
def test_overlaps_of_neighbouring_tiles_agree(
    brain: dict[str, np.ndarray], lamp: Lamp, method: str, most: float
) -> None:
    root, entry, path = lamp
    correction = load_correction(root, path, 0, method, force=method == "std")  # type: ignore[arg-type]

    after = overlap_ratio({name: correction.apply(image) for name, image in brain.items()})

    assert overlap_ratio(brain) == pytest.approx(0.206, abs=0.001)
    assert after <= most
    assert (entry.n_images, entry.method) == (63, "basic")


def test_the_brains_lamp_is_removed_from_tiles_held_out(lamp: Lamp) -> None:
    _, entry, _ = lamp

    # Seen: 1.96 before, 1.014 after.
    assert entry.darkfield
    assert entry.shading == pytest.approx(1.96, abs=0.02)
    assert entry.residual_shading["basic"] < 1.04


def test_statistics_of_real_tiles_are_exact(brain: dict[str, np.ndarray], lamp: Lamp) -> None:
    root, entry, _ = lamp
    logs = np.log10(np.stack(list(brain.values())).astype(np.float64))

    with np.load(root / str(entry.path)) as data:
        # Stored as float32, whose spacing at 4 is 2.4e-7.
        np.testing.assert_allclose(data["raw_mean"], logs.mean(axis=0), rtol=0, atol=2.4e-7)
        np.testing.assert_allclose(data["raw_std"], logs.std(axis=0), rtol=0, atol=6e-8)
        every = np.percentile(10**logs, np.linspace(0, 100, 1001), method="inverted_cdf")
        np.testing.assert_array_equal(data["percentiles"], np.rint(every))


def test_the_lamp_of_a_plate_of_8_bit_images(tmp_path: Path, tmp_path_factory: Factory) -> None:
    folder = unpacked("arrayscan_8wells_3sites", tmp_path_factory)
    images = [tifffile.imread(path) for path in sorted(folder.rglob("*.TIF"))]

    entry, path = estimated(tmp_path, images)
    correction = load_correction(tmp_path, path, 0, "basic", force=True)

    # Seen: 3.32 before, 1.20 after, of images held out.
    assert (entry.n_images, entry.method, entry.darkfield) == (24, None, False)
    assert entry.shading == pytest.approx(3.32, abs=0.03)
    assert entry.residual_shading["basic"] < 1.3
    before, after = (
        np.median(stack, axis=0).reshape(4, 128, 4, 128).mean(axis=(1, 3))
        for stack in (np.stack(images), np.stack([correction.apply(i) for i in images]))
    )
    assert before.max() / before.min() > 2
    assert after.max() / after.min() < 1.15


def test_harmonys_own_profile_is_taken_where_there_are_few_images(tmp_path: Path) -> None:
    folder = data_set("operetta_harmony_2field") / "Images"
    described = experiment(folder)
    converted = convert(tmp_path, described)

    output, _ = run_step(tmp_path, "corilla", described, {}, converted.inputs)
    path = output.products["illumination"]
    corrections = Corrections.resolve(tmp_path, path, converted.layout)
    image = tifffile.imread(folder / "r03c03f01p01-ch1sk1fk1fl1.tiff")
    corrected = corrections.apply(0, image)

    text = (folder / "Index.idx.xml").read_text("utf-8-sig")
    (rows,) = re.findall(r"Foreground: .*?Coefficients: (\[\[.*?\]\])", text)
    y, x = (np.indices((1080, 1080)) - 539.5) * 0.00092592593
    field = sum(
        c * x ** (i - j) * y**j
        for i, row in enumerate(ast.literal_eval(rows))
        for j, c in enumerate(row)
    )
    assert corrections.methods == {0: "vendor"}
    np.testing.assert_allclose(corrected, image * field.mean() / field, rtol=0, atol=0.51)


def test_black_shading_images_are_refused(tmp_path: Path) -> None:
    name = "CV8000-Minimal-DataSet-2C-3W-4S-FP2-stack_20230918_135839"
    found = list(data_set("cellvoyager_cv8000_meta").rglob("SC_BP445-45*.tif"))
    described = experiment(found[0].parent)
    layout = convert(tmp_path, described, until="metaconfig").layout
    channel = next(c for c in layout.channels if c.flatfield is not None)

    fields, problem = vendor_fields(StepContext(tmp_path, described), layout, channel, (2000, 2000))

    assert name in str(found[0])
    assert fields == {}
    assert problem == "the microscope's flat field is black"

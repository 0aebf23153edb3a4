"""Projections of imextract: maximum, mean and best focus, also of stacks that lack planes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from scipy import ndimage

from gpu_workers.runner.execute import run_step
from gpu_workers.storage import tables
from tests.data_sets import data_set
from tests.integration.conversion.source import (
    Converted,
    convert,
    experiment,
    image,
    write_images,
)

PATTERN = r"_(?P<well>[A-H]\d\d)_w(?P<channel>\d)_z(?P<z>\d)"
NAMES = [f"p_A01_w{c}_z{z}.tif" for c in (1, 2) for z in (1, 2, 3)]


def _sharpness(pixels: np.ndarray) -> float:
    """Return Tenenbaum's measure by SciPy; `mirror` is OpenCV's edge."""
    values = pixels.astype(float)
    return float(sum((ndimage.sobel(values, axis, mode="mirror") ** 2).mean() for axis in (0, 1)))


def _focus(result: Converted) -> dict[int, int]:
    path = result.plates.manifest.focus
    assert path is not None
    return {r["channel"]: r["z"] for r in tables.read_table(result.root / path).to_pylist()}


def test_best_focus_in_a_real_stack(tmp_path: Path) -> None:
    (file,) = data_set("zstack_dna_2ch").glob("*.tif")
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / "stack_A01.tif").write_bytes(file.read_bytes())

    result = convert(tmp_path, experiment(folder), images={"projection": "best"})

    pixels = tifffile.imread(file)
    expected = {c: int(np.argmax([_sharpness(p) for p in pixels[:, c]])) for c in range(2)}
    assert expected == {0: 21, 1: 19}
    assert _focus(result) == expected
    plate = result.layout.plates[0].id
    for c, z in expected.items():
        stored = result.plates.read(plate, 0, 0, c, 0, "best")
        np.testing.assert_array_equal(stored, pixels[z, c])
    assert result.plates.projections == ("best",)


def test_best_focus_on_a_real_plate(tmp_path: Path) -> None:
    folder = data_set("imagexpress_htd_3420_3433") / "9987_Plate_3433"

    result = convert(tmp_path, experiment(folder), images={"projection": "best"})

    plates, plate = result.plates, result.layout.plates[0]
    chosen = set()
    for site in plate.sites:
        for c in range(2):
            stack = [plates.read(plate.id, site.index, 0, c, z) for z in range(3)]
            z = int(np.argmax([_sharpness(p) for p in stack if p is not None]))
            chosen.add(z)
            stored = plates.read(plate.id, site.index, 0, c, 0, "best")
            np.testing.assert_array_equal(stored, stack[z])
    assert chosen == {0, 1}


def test_the_colours_of_a_stack_are_in_focus_together(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    planes = rng.integers(100, 110, (3, 64, 80, 3), dtype="uint8")
    # Each colour alone is sharpest elsewhere; all together the middle one is.
    for z, gain in enumerate([(9, 0, 0), (8, 8, 8), (0, 0, 9)]):
        planes[z] += (rng.integers(0, 10, (64, 80, 1)) * gain).astype("uint8")
    (tmp_path / "images").mkdir()
    with tifffile.TiffWriter(tmp_path / "images" / "p_A01_w1.tif") as tiff:
        for plane in planes:
            tiff.write(plane, photometric="rgb")

    result = convert(tmp_path, experiment("images"), images={"projection": "best"})

    assert _focus(result) == {0: 1, 1: 1, 2: 1}
    for c in range(3):
        stored = result.plates.read(result.layout.plates[0].id, 0, 0, c, 0, "best")
        np.testing.assert_array_equal(stored, planes[1, ..., c])


@pytest.mark.parametrize("kind", ["max", "mean", "best"])
def test_a_projection_that_lacks_a_plane_is_made_and_named(tmp_path: Path, kind: str) -> None:
    folder = write_images(tmp_path / "images", NAMES)
    described = experiment(folder, pattern=PATTERN)
    half = convert(tmp_path, described, until="metaconfig")
    (folder / NAMES[4]).write_bytes(b"II*\0" + bytes(1000))

    product, problems = run_step(
        tmp_path, "imextract", described, {"projection": kind}, half.inputs
    )

    result = Converted(tmp_path, half.inputs | product.products, problems, {})
    (incomplete,) = result.plates.manifest.incomplete
    assert (incomplete.channel, incomplete.n, incomplete.expected) == (1, 2, 3)
    assert {"incomplete_projection", "file_changed"} <= result.codes
    left = np.stack([image(3), image(5)]).astype(float)
    stored = result.plates.read(result.layout.plates[0].id, 0, 0, 1, 0, kind)
    assert stored is not None
    if kind == "max":
        np.testing.assert_array_equal(stored, left.max(axis=0))
    elif kind == "mean":
        np.testing.assert_array_equal(stored, np.floor(left.mean(axis=0) + 0.5))
    else:
        assert any((stored == plane).all() for plane in left)


def test_means_of_floats_are_exact_to_their_type(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "images", NAMES[:3], dtype="float32")

    result = convert(tmp_path, experiment(folder, pattern=PATTERN), images={"projection": "mean"})

    expected = np.stack([image(z, dtype="float32") for z in range(3)]).astype(float).mean(axis=0)
    stored = result.plates.read(result.layout.plates[0].id, 0, 0, 0, 0, "mean")
    np.testing.assert_array_equal(stored, expected.astype("float32"))


@pytest.mark.parametrize(("mip", "found"), [(True, ("max",)), (False, ())])
def test_auto_follows_the_layout(tmp_path: Path, mip: bool, found: tuple[str, ...]) -> None:
    folder = write_images(tmp_path / "images", NAMES)

    result = convert(tmp_path, experiment(folder, pattern=PATTERN), layout={"mip": mip})

    assert result.plates.projections == found

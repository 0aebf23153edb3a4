"""A real MetaXpress plate: every pixel of the mosaic is one of the vendor's own projection."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr

from gpu_workers.runner.execute import run_step
from gpu_workers.storage.mosaics import load_mosaic
from gpu_workers.storage.objects import load_manifest
from tests.data_sets import data_set
from tests.integration.conversion.source import convert, experiment

pytestmark = pytest.mark.data


def test_the_mosaic_shows_the_vendors_projection(tmp_path: Path) -> None:
    folder = data_set("imagexpress_htd_3420_3433") / "9987_Plate_3433"
    description = experiment(folder)
    converted = convert(tmp_path, description, images={"projection": "max"})

    output, problems = run_step(tmp_path, "illuminati", description, {}, converted.inputs)

    manifest = load_mosaic(tmp_path, output.products["mosaic"])
    (plate,) = converted.layout.plates
    level = zarr.open_group(tmp_path / manifest.plates[0].path, mode="r")["0"]
    assert (problems, manifest.projection) == ([], "max")
    for channel in manifest.channels:
        explained = np.zeros((plate.height, plate.width), bool)
        covered = np.zeros_like(explained)
        mosaic = level[0, channel.index, 0]
        for site in plate.sites:
            source = tifffile.imread(
                folder
                / f"TimePoint_1/ZStep_0/9987_{site.well}_s{site.name}_w{channel.index + 1}.TIF"
            )
            area = np.s_[site.y : site.y + site.height, site.x : site.x + site.width]
            same = mosaic[area] == source
            middle = np.s_[site.height // 4 : -site.height // 4, site.width // 4 : -site.width // 4]
            assert same[middle].all()
            explained[area] |= same
            covered[area] = True
        assert explained[covered].all()
        assert not mosaic[~covered].any()
        real = mosaic[covered]
        assert (channel.min, channel.max) == (real.min(), real.max())
        assert channel.window == tuple(np.percentile(real, [1, 99.9], method="inverted_cdf"))


def test_plates_of_one_experiment_have_mosaics_in_one_world(tmp_path: Path) -> None:
    """A plate of two wells, two channels and three planes beside one of a single image."""
    root = data_set("imagexpress_htd_3420_3433")
    description = experiment(root / "9987_Plate_3433", root / "9987_Plate_3420")
    converted = convert(tmp_path, description)

    output, _ = run_step(tmp_path, "illuminati", description, {}, converted.inputs)

    layout, manifest = converted.layout, load_mosaic(tmp_path, output.products["mosaic"])
    assert [m.id for m in manifest.plates] == [p.id for p in layout.plates]
    # All have the same axes and channels, and lie side by side.
    assert [m.shape[:3] for m in manifest.plates] == [(1, 2, 3)] * 2
    first, second = layout.plates
    assert second.origin[1] >= first.origin[1] + first.width
    assert manifest.plates[1].shape[3:] == (second.height, second.width) == (256, 256)
    small = zarr.open_group(tmp_path / manifest.plates[1].path, mode="r")["0"]
    image = tifffile.imread(root / "9987_Plate_3420" / "TimePoint_1" / "9987_B02.TIF")
    np.testing.assert_array_equal(small[0, 0, 0], image)
    assert not small[0, 0, 1:].any()
    assert not small[0, 1].any(), "the other channel was not taken of this plate"
    regions = load_manifest(tmp_path, output.products["regions"])
    counts = {t.name: [p.n_objects for p in t.plates] for t in regions.types}
    assert counts == {"Plates": [1, 1], "Wells": [2, 1], "Sites": [4, 1]}

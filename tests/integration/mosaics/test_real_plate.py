"""A real MetaXpress plate: every pixel of the mosaic is one of the vendor's own projection."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr

from gpu_workers.runner.execute import run_step
from gpu_workers.storage.mosaics import load_mosaic
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

"""Simulated plates of both vendors: what the simulator put into overlaps lies on itself in the layout."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.integration.conversion.source import convert, experiment
from tissuemaps.cli.simulate import simulate_plate


@pytest.mark.parametrize("vendor", ["cellvoyager", "imagexpress"])
def test_overlaps_fit(tmp_path: Path, vendor: str) -> None:
    folder = tmp_path / "plate"
    truth = simulate_plate(
        folder, vendor=vendor, rows=2, columns=3, missing_wells=[(1, 2)], sites=(2, 3), size=128,
        overlap=0.25, noise=False, illumination=0, z=2, t=2,
    )  # fmt: skip

    result = convert(tmp_path / "root", experiment(folder), images={"projection": "max"})

    layout, plates = result.layout, result.plates
    (plate,) = layout.plates
    assert tuple(w.name for w in plate.wells) == tuple(truth.wells)
    assert (layout.n_tpoints, layout.n_zplanes) == (2, 2)
    # The .HTD file goes on promising the missing well.
    assert result.codes <= ({"absent_files", "missing_wells"} if vendor == "imagexpress" else set())
    for well in plate.wells:
        sites = [s for s in plate.sites if s.well == well.name]
        assert len({(s.y, s.x) for s in sites}) == 6
        canvas = np.full((well.height, well.width), -1, "int64")
        n_shared = 0
        for site in sites:
            pixels = plates.read(plate.id, site.index, 1, 0, 0, "max")
            assert pixels is not None
            y, x = site.y - well.y, site.x - well.x
            place = canvas[y : y + site.height, x : x + site.width]
            shared = place >= 0
            n_shared += int(shared.sum())
            np.testing.assert_array_equal(place[shared], pixels[shared])
            place[...] = pixels
        assert n_shared > 10_000

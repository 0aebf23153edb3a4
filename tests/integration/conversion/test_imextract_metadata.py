"""What imextract writes about its images: places, times, colours and windows, valid OME-Zarr 0.5."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import zarr
from ome_zarr_models.v05 import HCS, Image

from tests.data_sets import data_set
from tests.integration.conversion.source import (
    Converted,
    convert,
    experiment,
    image,
    write_images,
)
from tissuemaps.cli.simulate import simulate_plate


def _images(result: Converted) -> dict[str, Any]:
    """Return the attributes of every image by its path in the plate."""
    root = zarr.open_group(result.root / result.plates.manifest.plates[0].path, mode="r")
    found = {}
    for well in root.attrs["ome"]["plate"]["wells"]:
        for entry in root[well["path"]].attrs["ome"]["well"]["images"]:
            path = f"{well['path']}/{entry['path']}"
            Image.from_zarr(root[path])
            found[path] = dict(root[path].attrs)
    return found


def _transformations(attributes: Any) -> dict[str, list[float]]:
    (dataset,) = attributes["ome"]["multiscales"][0]["datasets"]
    return {t["type"]: t[t["type"]] for t in dataset["coordinateTransformations"]}


@pytest.mark.parametrize("vendor", ["cellvoyager", "imagexpress"])
def test_images_lie_where_the_layout_has_them(tmp_path: Path, vendor: str) -> None:
    simulate_plate(
        tmp_path / "plate", vendor=vendor, rows=1, columns=2, sites=(2, 2), size=64, overlap=0.25, z=2
    )  # fmt: skip

    result = convert(tmp_path, experiment("plate"), images={"projection": "max"})

    pixel, images = result.layout.pixel_size_um, _images(result)
    assert pixel is not None
    for well in result.layout.plates[0].wells:
        own = [s for s in result.layout.plates[0].sites if s.well == well.name]
        corners = [_transformations(images[f"{s.raw}a0"])["translation"][3:] for s in own]
        # One field against another: the stage's y may grow upwards, the image's grows downwards.
        expected = np.array([(s.y - own[0].y, s.x - own[0].x) for s in own]) * pixel
        np.testing.assert_allclose(np.array(corners) - corners[0], expected, atol=pixel)
        for site in own:
            assert _transformations(images[f"{site.raw}a0"]) == {
                "scale": [1.0, 1.0, result.layout.z_step_um, pixel, pixel],
                "translation": _transformations(images[f"{site.raw}a0mip"])["translation"],
            }


def test_a_real_plate_has_its_stage_positions(tmp_path: Path) -> None:
    folder = data_set("imagexpress_htd_3420_3433") / "9987_Plate_3433"

    result = convert(tmp_path, experiment(folder))

    pixel = result.layout.pixel_size_um
    assert pixel is not None
    for path, attributes in _images(result).items():
        (site,) = (s for s in result.layout.plates[0].sites if f"{s.raw}a0" == path)
        name = f"TimePoint_1/ZStep_1/9987_{site.well}_s{site.name}_w1.TIF"
        tags = tifffile.TiffFile(folder / name).metaseries_metadata["PlaneInfo"]
        corner = _transformations(attributes)["translation"][3:]
        centre = [tags["stage-position-y"], tags["stage-position-x"]]
        half = pixel * 255 / 2
        assert attributes["tissuemaps"]["stage_um"] == pytest.approx(centre)
        assert corner == pytest.approx(
            [site.stage_y_sign * centre[0] - half, centre[1] - half], abs=1e-6
        )


def test_windows_are_percentiles_of_the_pixels(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    (tmp_path / "images").mkdir()
    planes = []
    for n, well in enumerate(("A01", "A02", "B01")):
        planes.append(rng.normal(1000 + 100 * n, 50, (512, 512)).astype("uint16"))
        tifffile.imwrite(tmp_path / "images" / f"p_{well}_w1.tif", planes[-1])

    result = convert(tmp_path, experiment("images"), images={"batch_size": 1})

    found = {str(a["ome"]["omero"]["channels"][0]["window"]) for a in _images(result).values()}
    assert len(found) == 1
    (window,) = (
        a["ome"]["omero"]["channels"][0]["window"] for a in list(_images(result).values())[:1]
    )
    assert (window["min"], window["max"]) == (0, 65535)
    # A sample of 3,000 pixels in bins 1/32 of their value wide.
    low, high = np.percentile(planes, [1, 99.9])
    assert window["start"] == pytest.approx(low, abs=45)
    assert window["end"] == pytest.approx(high, abs=60)


def test_windows_of_floats_end_where_values_do(tmp_path: Path) -> None:
    pixels = image(0, (512, 512), "float32") * 40 - 20
    pixels[::7, ::5] = np.nan
    (tmp_path / "images").mkdir()
    tifffile.imwrite(tmp_path / "images" / "p_A01_w1.tif", pixels)

    result = convert(tmp_path, experiment("images"))

    (attributes,) = _images(result).values()
    window = attributes["ome"]["omero"]["channels"][0]["window"]
    assert -20 <= window["min"] <= window["start"] < -18
    assert 18 < window["end"] <= window["max"] <= 20


def test_times_are_on_their_axis(tmp_path: Path) -> None:
    simulate_plate(
        tmp_path / "plate", vendor="cellvoyager", rows=1, columns=1, sites=(1, 1), size=64, t=3
    )

    result = convert(tmp_path, experiment("plate"))

    times = result.layout.times_s
    (attributes,) = _images(result).values()
    (scales,) = attributes["ome"]["multiscales"]
    axis = next(a for a in scales["axes"] if a["name"] == "t")
    if times is None:
        assert "unit" not in axis
        return
    assert axis["unit"] == "second"
    assert attributes["tissuemaps"]["times_s"] == list(times)
    assert _transformations(attributes)["scale"][0] == pytest.approx(np.median(np.diff(times)))


def test_acquisitions_of_a_plate_are_named_and_counted(tmp_path: Path) -> None:
    write_images(tmp_path / "a", [f"p_A01_s{s}_w1.tif" for s in (1, 2, 3)])
    write_images(tmp_path / "b", ["p_A01_s1_w1.tif"])

    result = convert(tmp_path, experiment("a", "b", plates=(0, 0)))

    path = result.root / result.plates.manifest.plates[0].path
    plate = HCS.from_zarr(zarr.open_group(path, mode="r")).attributes.ome.plate
    assert plate.acquisitions is not None
    assert [(a.id, a.name, a.maximumfieldcount) for a in plate.acquisitions] == [
        (0, "acquisition 0", 3), (1, "acquisition 1", 1),
    ]  # fmt: skip
    images = zarr.open_group(path, mode="r")["A/1"].attrs["ome"]["well"]["images"]
    assert sorted((i["path"], i["acquisition"]) for i in images) == [
        ("0a0", 0), ("0a1", 1), ("1a0", 0), ("2a0", 0),
    ]  # fmt: skip

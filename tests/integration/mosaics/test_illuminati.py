"""The mosaic step against the same image put together in another way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import zarr
from ome_zarr_models.v05.image import Image

from gpu_workers.imaging.illumination.correction import IlluminationStatistics, LogMoments
from gpu_workers.runner.execute import StepFailed, run_step
from gpu_workers.storage import illumination
from gpu_workers.storage.layout import Layout
from gpu_workers.storage.mosaics import MosaicManifest, load_mosaic
from tests.integration.mosaics import plates

HEIGHT, WIDTH = 1024, 3072
# Two wells of 2 x 2 sites with odd positions and overlaps, a third well that does not touch them.
BOXES = [
    [(0, 0, 301, 411), (3, 371, 301, 411), (270, 1, 301, 411), (271, 373, 301, 411)],
    [(0, 1024, 500, 600), (11, 1447, 500, 600)],
    [(513, 2401, 311, 303)],
]


def noise(shape: tuple[int, int], dtype: str, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if dtype == "float32":
        return rng.normal(-3, 40, shape).astype(np.float32)
    return rng.integers(1, np.iinfo(dtype).max, shape).astype(dtype)


def all_planes(made: Layout) -> dict[plates.Plane, np.ndarray]:
    planes = {}
    for site in made.plates[0].sites:
        shape = (site.height, site.width)
        for t in range(made.n_tpoints):
            for channel in made.channels:
                for z in range(made.n_zplanes):
                    seed = hash((site.index, t, channel.index, z)) % 2**32
                    planes[site.index, t, channel.index, z] = noise(shape, channel.dtype, seed)
    return planes


def assembled(
    made: Layout, planes: dict[plates.Plane, np.ndarray], t: int, c: int, z: int
) -> np.ndarray:
    """Return level 0 as float64, NaN where there is nothing: pixel by pixel the best claim wins."""
    plate = made.plates[0]
    world = np.full((plate.height, plate.width), np.nan)
    claims = np.full((2, plate.height, plate.width), -1)
    for site in plate.sites:
        image = planes.get((site.index, t, c, z))
        if image is None:
            continue
        y = np.minimum(np.arange(site.height), np.arange(site.height)[::-1])[:, None]
        x = np.minimum(np.arange(site.width), np.arange(site.width)[::-1])[None]
        near, far = np.minimum(y, x), np.maximum(y, x)
        area = np.s_[site.y : site.y + site.height, site.x : site.x + site.width]
        best = claims[:, *area]
        wins = (near > best[0]) | ((near == best[0]) & (far > best[1]))
        world[area] = np.where(wins, image, world[area])
        claims[:, *area] = np.where(wins, np.stack([near, far]), best)
    return world


def halved(world: np.ndarray) -> np.ndarray:
    height, width = (-(-n // 2) for n in world.shape)
    padded = np.pad(world, ((0, 2 * height - world.shape[0]), (0, 2 * width - world.shape[1])),
                    constant_values=np.nan)  # fmt: skip
    blocks = padded.reshape(height, 2, width, 2)
    count = np.isfinite(blocks).sum((1, 3))
    total = np.nansum(blocks, axis=(1, 3))
    return np.where(count, np.floor(total / np.maximum(count, 1) + 0.5), np.nan)


def run(root: Path, inputs: dict[str, str], **arguments: object) -> MosaicManifest:
    output, problems = run_step(root, "illuminati", plates.experiment(), arguments, inputs)
    assert not [p for p in problems if p.code != "not_finite"]
    return load_mosaic(root, output.products["mosaic"])


def test_every_level_and_number_equals_the_image_put_together_otherwise(tmp_path: Path) -> None:
    made = plates.layout(BOXES, ("uint16", "uint8"), height=HEIGHT, width=WIDTH, n_tpoints=2)
    planes = all_planes(made)
    inputs = plates.write(tmp_path, made, planes)

    manifest = run(tmp_path, inputs)

    group = zarr.open_group(tmp_path / manifest.plates[0].path, mode="r")
    values: dict[int, list[np.ndarray]] = {0: [], 1: []}
    for t in range(2):
        for c in range(2):
            world = assembled(made, planes, t, c, 0)
            values[c].append(world[np.isfinite(world)])
            for level in manifest.plates[0].levels:
                stored = group[level["path"]][t, c, 0]
                assert np.array_equal(stored, np.nan_to_num(world)), level
                world = halved(world)
    for channel in manifest.channels:
        real = np.concatenate(values[channel.index])
        low, high = np.percentile(real, [1, 99.9], method="inverted_cdf")
        assert (channel.min, channel.max, channel.window) == (real.min(), real.max(), (low, high))
        assert sum(channel.histogram.counts) == len(real)
        counted, _ = np.histogram(np.clip(real, None, channel.histogram.high), 256,
                                  (channel.histogram.low, channel.histogram.high))  # fmt: skip
        assert (
            np.abs(np.cumsum(counted) - np.cumsum(channel.histogram.counts)).max()
            <= len(real) / 100
        )
    assert (manifest.n_tpoints, manifest.n_zplanes, manifest.projection) == (2, 1, None)


def test_the_first_window_is_as_asked_and_no_pixel_is_clipped(tmp_path: Path) -> None:
    made = plates.layout(BOXES, ("uint16", "uint8"), height=HEIGHT, width=WIDTH)
    planes = all_planes(made)
    inputs = plates.write(tmp_path, made, planes)
    real = assembled(made, planes, 0, 0, 0)
    real = real[np.isfinite(real)]

    lower = run(tmp_path, inputs, clip_percent=90)
    fixed = run(tmp_path, inputs, clip_value=123)

    assert lower.channels[0].window[1] == np.percentile(real, 90, method="inverted_cdf")
    assert [c.window[1] for c in fixed.channels] == [123, 123]
    assert fixed.channels[0].max == lower.channels[0].max == real.max()


def test_a_missing_plane_is_filled_by_its_neighbours(tmp_path: Path) -> None:
    made = plates.layout(BOXES, ("uint16",), height=HEIGHT, width=WIDTH)
    planes = all_planes(made)
    del planes[1, 0, 0, 0]
    del planes[6, 0, 0, 0]
    inputs = plates.write(tmp_path, made, planes)

    manifest = run(tmp_path, inputs)

    group = zarr.open_group(tmp_path / manifest.plates[0].path, mode="r")
    assert np.array_equal(group["0"][0, 0, 0], np.nan_to_num(assembled(made, planes, 0, 0, 0)))
    # The third well has nothing, so it has no file either.
    assert not (tmp_path / manifest.plates[0].path / "0/c/0/0/0/0/2").exists()


def test_brightfield_is_white_where_no_site_lies_at_every_level(tmp_path: Path) -> None:
    made = plates.layout(BOXES, ("uint8", "uint8"), height=HEIGHT, width=WIDTH)
    bright = tuple(c.model_copy(update={"brightfield": True}) for c in made.channels)
    made = made.model_copy(update={"channels": bright})
    planes = all_planes(made)
    inputs = plates.write(tmp_path, made, planes)

    manifest = run(tmp_path, inputs)

    group = zarr.open_group(tmp_path / manifest.plates[0].path, mode="r")
    world = assembled(made, planes, 0, 1, 0)
    for level in manifest.plates[0].levels:
        assert np.array_equal(group[level["path"]][0, 1, 0], np.nan_to_num(world, nan=255)), level
        world = halved(world)
    # Colours stay as they are: each channel is shown over its whole range.
    assert [c.window for c in manifest.channels] == [(0, 255), (0, 255)]


def test_fluorescence_beside_brightfield_stays_black(tmp_path: Path) -> None:
    made = plates.layout(BOXES, ("uint8", "uint16"), height=HEIGHT, width=WIDTH)
    bright = made.channels[0].model_copy(update={"brightfield": True})
    made = made.model_copy(update={"channels": (bright, made.channels[1])})
    inputs = plates.write(tmp_path, made, all_planes(made))

    manifest = run(tmp_path, inputs)

    group = zarr.open_group(tmp_path / manifest.plates[0].path, mode="r")
    level = group["2"][0, :, 0]
    assert level[0, 240, 80] == 255  # below the first well, in a shard that a site touches
    assert level[1, 240, 80] == 0


def test_the_image_is_valid_and_says_where_its_levels_lie(tmp_path: Path) -> None:
    made = plates.layout(BOXES, ("uint16", "float32"), height=HEIGHT, width=WIDTH)
    inputs = plates.write(tmp_path, made, all_planes(made))

    manifest = run(tmp_path, inputs)

    folder = tmp_path / manifest.plates[0].path
    attributes = Image.from_zarr(zarr.open_group(folder, mode="r")).ome_attributes
    second = attributes.multiscales[0].datasets[1].coordinateTransformations
    assert second[0].scale[-2:] == [1.3, 1.3]
    assert second[1].translation[-2:] == [0.325, 0.325]
    omero = zarr.open_group(folder, mode="r").attrs["ome"]["omero"]["channels"]
    assert [c["label"] for c in omero] == ["C00", "C01"]
    assert omero[0]["window"]["start"] == manifest.channels[0].window[0]
    assert 0 < omero[1]["window"]["start"] < omero[1]["window"]["end"] < 65535


def test_floats_keep_their_units(tmp_path: Path) -> None:
    made = plates.layout(BOXES, ("float32",), height=HEIGHT, width=WIDTH)
    planes = all_planes(made)
    planes[6, 0, 0, 0][:3, :5] = np.nan
    planes[0, 0, 0, 0][0, 0] = np.inf
    inputs = plates.write(tmp_path, made, planes)

    manifest = run(tmp_path, inputs)

    channel = manifest.channels[0]
    finite = np.concatenate([p[np.isfinite(p)] for p in planes.values()])
    assert (channel.min, channel.n_not_finite) == (finite.min(), 16)
    assert channel.max == pytest.approx(finite.max(), rel=1e-6)
    stored = zarr.open_group(tmp_path / manifest.plates[0].path, mode="r")["0"][0, 0, 0]
    site = made.plates[0].sites[6]
    area = stored[site.y : site.y + site.height, site.x : site.x + site.width]
    assert (
        np.nanmax(np.abs(area * channel.scale + channel.offset - planes[6, 0, 0, 0]))
        <= channel.scale / 2 * 1.01
    )
    assert (area[:3, :5] == 0).all()


def test_equal_values_and_no_sites_make_a_mosaic_too(tmp_path: Path) -> None:
    made = plates.layout(
        [[(0, 0, 40, 50)]], ("float32", "uint16"), height=512, width=512, shard=512
    )
    planes = {(0, 0, 0, 0): np.full((40, 50), 2.5), (0, 0, 1, 0): np.zeros((40, 50), np.uint16)}
    inputs = plates.write(tmp_path, made, planes)

    manifest = run(tmp_path, inputs)

    assert (manifest.channels[0].min, manifest.channels[0].n_not_finite) == (2.5, 0)
    assert all(c.window[0] < c.window[1] for c in manifest.channels)

    empty = made.model_copy(
        update={
            "key": "3c",
            "plates": (made.plates[0].model_copy(update={"sites": (), "wells": ()}),),
        }
    )
    inputs = plates.write(tmp_path, empty, {})
    manifest = run(tmp_path, inputs)

    assert manifest.plates[0].bytes == 0
    assert zarr.open_group(tmp_path / manifest.plates[0].path, mode="r")["0"].shape[-1] == 512


def test_the_projection_is_chosen_and_missing_ones_are_named(tmp_path: Path) -> None:
    boxes = [[(0, 0, 100, 120)]]
    made = plates.layout(boxes, ("uint16",), height=512, width=512, shard=512, n_zplanes=3)
    planes = all_planes(made)
    top = np.max([planes[0, 0, 0, z] for z in range(3)], axis=0)
    inputs = plates.write(tmp_path, made, planes, "max", {(0, 0, 0, 0): top})

    automatic, stack = run(tmp_path, inputs), run(tmp_path, inputs, projection="none")

    assert (automatic.projection, automatic.n_zplanes) == ("max", 1)
    assert (stack.projection, stack.n_zplanes) == (None, 3)
    array = zarr.open_group(tmp_path / automatic.plates[0].path, mode="r")["0"]
    assert np.array_equal(array[0, 0, 0, :100, :120], top)
    array = zarr.open_group(tmp_path / stack.plates[0].path, mode="r")["0"]
    assert np.array_equal(array[0, 0, 2, :100, :120], planes[0, 0, 0, 2])
    with pytest.raises(StepFailed, match="no mean projection"):
        run(tmp_path, inputs, projection="mean")


def write_illumination(root: Path, n_images: int, shape: tuple[int, int]) -> str:
    mean = np.linspace(2, 3, shape[1], dtype=np.float32)[None].repeat(shape[0], 0)
    std = np.full(shape, 0.1, np.float32)
    entries = []
    for index in range(2):
        path = illumination.channel_path("4d", index)
        found = IlluminationStatistics(mean, std, n_images)
        moments = LogMoments(n_images, mean.astype(float), std.astype(float))
        illumination.save_channel(root / path, moments, found, np.zeros(1001))
        entries.append(
            illumination.ChannelIllumination(
                index=index, name=f"C{index:02d}", path=path, n_images=n_images
            )
        )
    manifest = illumination.IlluminationManifest(
        key="4d", layout="layout", sampled=n_images, channels=tuple(entries)
    )
    return illumination.save_manifest(root, manifest)


def test_correction_is_applied_recorded_and_refused_on_too_few_images(tmp_path: Path) -> None:
    boxes = [[(0, 0, 100, 120)]]
    made = plates.layout(boxes, ("uint16", "uint16"), height=512, width=512, shard=512)
    planes = all_planes(made)
    inputs = plates.write(tmp_path, made, planes)
    with_statistics = {**inputs, "illumination": write_illumination(tmp_path, 50, (100, 120))}

    manifest = run(tmp_path, with_statistics, correct=True, correct_except=["C01"])

    correction = illumination.load_correction(tmp_path, with_statistics["illumination"], 0)
    array = zarr.open_group(tmp_path / manifest.plates[0].path, mode="r")["0"]
    assert np.array_equal(array[0, 0, 0, :100, :120], correction.apply(planes[0, 0, 0, 0]))
    assert np.array_equal(array[0, 1, 0, :100, :120], planes[0, 0, 1, 0])
    assert ([c.corrected for c in manifest.channels], manifest.corrected) == ([True, False], True)
    assert [c.correction for c in manifest.channels] == ["flat", None]
    assert manifest.illumination == with_statistics["illumination"]

    with pytest.raises(StepFailed, match="corilla"):
        run(tmp_path, inputs, correct=True)
    with pytest.raises(StepFailed, match="no channel DAPI"):
        run(tmp_path, with_statistics, correct=True, correct_except=["DAPI"])
    write_illumination(tmp_path, 4, (100, 120))
    with pytest.raises(StepFailed, match="4 images") as failed:
        run(tmp_path, with_statistics, correct=True)
    assert failed.value.code == "too_few_images"
    assert run(tmp_path, with_statistics, correct=True, force=True).corrected


def test_keys_change_with_what_matters_only(tmp_path: Path) -> None:
    made = plates.layout([[(0, 0, 40, 50)]], ("uint16", "uint16"), height=512, width=512, shard=512)
    inputs = plates.write(tmp_path, made, all_planes(made))
    with_statistics = {**inputs, "illumination": write_illumination(tmp_path, 50, (40, 50))}

    keys = [
        run(tmp_path, inputs).key,
        run(tmp_path, with_statistics).key,
        run(tmp_path, with_statistics, correct_except=["C00"]).key,
        run(tmp_path, with_statistics, correct=True).key,
    ]

    assert keys[0] == keys[1] == keys[2] != keys[3]


def test_running_again_writes_the_same_bytes(tmp_path: Path) -> None:
    made = plates.layout(BOXES, ("uint16",), height=HEIGHT, width=WIDTH)
    inputs = plates.write(tmp_path, made, all_planes(made))

    first = run(tmp_path, inputs)
    before = {p: p.read_bytes() for p in (tmp_path / "mosaics").rglob("*") if p.is_file()}
    second = run(tmp_path, inputs)

    assert first == second
    assert before == {p: p.read_bytes() for p in (tmp_path / "mosaics").rglob("*") if p.is_file()}

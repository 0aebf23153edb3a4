"""Illumination statistics over many images, and analyses that use them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest

from gpu_workers.errors import DataMissing, UserError
from gpu_workers.messages import Problem
from gpu_workers.registry import StepContext
from gpu_workers.runner.execute import StepFailed, run_step
from gpu_workers.steps.corilla import Corilla
from gpu_workers.steps.corilla.sampling import CorillaArguments
from gpu_workers.storage.illumination import (
    Corrections,
    IlluminationManifest,
    load_correction,
    load_manifest,
)
from gpu_workers.storage.layout import Layout
from tests.integration.analysis.scenes import analyse
from tests.integration.mosaics import plates

SIDE = 48


def written(root: Path, n: int, sizes: tuple[int, ...] = ()) -> tuple[Layout, dict[str, str], dict]:
    """Write `n` sites of one uneven channel, and an even one with sites of other `sizes` beside."""
    rng = np.random.default_rng(0)
    heights = [SIDE] * n + list(sizes)
    boxes = [[(0, i * 64, h, SIDE) for i, h in enumerate(heights)]]
    made = plates.layout(boxes, ("uint16",), height=64, width=64 * len(heights), shard=512)
    y, x = np.indices((SIDE, SIDE)) / SIDE - 0.5
    lamp = 1 - y**2 - x**2
    pixels = {}
    for i, h in enumerate(heights):
        level = rng.lognormal(6.5, 0.2) * rng.lognormal(0, 0.05, (SIDE, SIDE))
        image = (lamp * level).astype(np.uint16)
        pixels[i, 0, 0, 0] = image if h == SIDE else np.ones((h, SIDE), np.uint16)
    return made, plates.write(root, made, pixels), pixels


def estimate(
    root: Path, inputs: dict[str, str], **arguments: Any
) -> tuple[IlluminationManifest, list[Problem], str]:
    output, problems = run_step(root, "corilla", plates.experiment(), arguments, inputs)
    path = output.products["illumination"]
    return load_manifest(root, path), problems, path


def test_parts_give_what_all_images_give(tmp_path: Path) -> None:
    _, inputs, pixels = written(tmp_path, 110)

    manifest, problems, path = estimate(tmp_path, inputs, batch_size=25)

    (channel,) = manifest.channels
    stack = np.stack([pixels[i, 0, 0, 0] for i in range(110)])
    assert problems == []
    assert (channel.n_images, channel.n_sites, channel.n_flatfield) == (110, 110, 110)
    assert (channel.method, channel.methods) == ("basic", ("basic", "std", "flat"))
    assert (channel.warning, channel.darkfield) == (None, False)
    with np.load(tmp_path / str(channel.path)) as data:
        logs = np.log10(stack.astype(np.float64))
        np.testing.assert_allclose(data["raw_mean"], logs.mean(axis=0), rtol=1e-7)
        np.testing.assert_allclose(data["raw_std"], logs.std(axis=0), rtol=1e-6)
        assert data["percentiles"][500] == np.percentile(stack, 50, method="inverted_cdf")
    assert channel.residual is not None
    assert channel.residual < 0.02
    assert not list((tmp_path / path).parent.glob("parts/*.npz"))


def test_what_is_left_of_the_lamp_is_measured_on_images_held_out(tmp_path: Path) -> None:
    _, inputs, _ = written(tmp_path, 60)

    manifest, _, path = estimate(tmp_path, inputs)

    (channel,) = manifest.channels
    y, x = np.indices((SIDE, SIDE)) / SIDE - 0.5
    lamp = 1 - y**2 - x**2
    assert channel.shading == pytest.approx(1.9, rel=0.1)  # 1 in the middle, 0.5 in the corners
    assert set(channel.residual_shading) == {"basic", "std", "flat"}
    assert channel.residual_shading["basic"] < 1.05
    assert set(channel.profile) == {"y_before", "y_after", "x_before", "x_after"}
    assert np.ptp(channel.profile["x_after"]) < 0.1 * np.ptp(channel.profile["x_before"])
    correction = load_correction(tmp_path, path, 0)
    assert (correction.method, correction.n_images) == ("basic", 60)
    np.testing.assert_allclose(1 / correction.gain, lamp / lamp.mean(), rtol=0.03)


def test_pictures_show_before_and_after(tmp_path: Path) -> None:
    _, inputs, _ = written(tmp_path, 40)

    manifest, _, _ = estimate(tmp_path, inputs)

    pictures = manifest.channels[0].pictures
    assert set(pictures) == {"before_after", "light", "fields"}
    for name, path in pictures.items():
        data = (tmp_path / path).read_bytes()
        shown = imagecodecs.png_decode(data)
        assert shown.shape == (288, 2 * 288 + 8)
        assert len(data) < 200_000
        before, after = shown[:, :288], shown[:, -288:]
        if name != "fields":
            corners = [i[:36, :36].mean() / i[126:162, 126:162].mean() for i in (before, after)]
            assert corners[0] < 0.5 < 0.8 < corners[1], name


def test_only_the_statistics_if_so_wished(tmp_path: Path) -> None:
    _, inputs, _ = written(tmp_path, 110)

    manifest, _, path = estimate(tmp_path, inputs, method="statistics")

    (channel,) = manifest.channels
    assert (channel.methods, channel.method) == (("std", "flat"), "std")
    assert load_correction(tmp_path, path, 0).method == "std"
    with pytest.raises(DataMissing, match="basic"):
        load_correction(tmp_path, path, 0, "basic")


@pytest.mark.parametrize("wanted", ["on", "off"])
def test_a_dark_field_is_estimated_as_asked(tmp_path: Path, wanted: str) -> None:
    _, inputs, _ = written(tmp_path, 30)

    manifest, _, path = estimate(tmp_path, inputs, darkfield=wanted)

    assert manifest.channels[0].darkfield == (wanted == "on")
    assert load_correction(tmp_path, path, 0).bias.any() == (wanted == "on")


def test_the_sample_is_bounded_stated_and_the_same_every_time(tmp_path: Path) -> None:
    _, inputs, _ = written(tmp_path, 12)

    first, _, path = estimate(tmp_path, inputs, max_images=5, batch_size=2)
    before = (tmp_path / str(first.channels[0].path)).read_bytes()
    second, _, _ = estimate(tmp_path, inputs, max_images=5, batch_size=2)

    assert first.channels[0].n_images == 5
    assert first.sampled == 5
    assert first == second
    assert (tmp_path / str(first.channels[0].path)).read_bytes() == before
    assert path.startswith(f"illumination/{first.key}/")


def test_jobs_that_come_late_again_change_nothing(tmp_path: Path) -> None:
    _, inputs, _ = written(tmp_path, 6)
    manifest, _, path = estimate(tmp_path, inputs, batch_size=2)
    step, arguments = Corilla(), CorillaArguments(batch_size=2)
    plan = step.plan(StepContext(tmp_path, plates.experiment(), inputs=inputs), arguments)
    context = StepContext(tmp_path, plates.experiment(), plan.key, inputs)

    for batch in (*plan.rounds[1], plan.rounds[0][0], *plan.rounds[1]):
        step.run(context, arguments, batch)

    assert load_manifest(tmp_path, path) == manifest
    assert len(plan.rounds[0]) == 3


def test_parts_of_large_images_stay_below_a_gigabyte(tmp_path: Path) -> None:
    boxes = [[(0, 2560 * i, 2160, 2560) for i in range(500)]]
    made = plates.layout(boxes, ("uint16",), height=2560, width=2560 * 500, shard=512)
    inputs = plates.write(tmp_path, made, {})

    context = StepContext(tmp_path, plates.experiment(), inputs=inputs)
    plan = Corilla().plan(context, CorillaArguments(batch_size=1))

    assert len(plan.rounds[0]) * 2160 * 2560 * 16 <= 1 << 30
    assert plan.bytes_to_write < 1.3 * (1 << 30)


def test_too_few_images_are_said_and_not_used(tmp_path: Path) -> None:
    _, inputs, _ = written(tmp_path, 4)
    manifest, problems, path = estimate(tmp_path, inputs)
    inputs["illumination"] = path

    assert [p.code for p in problems] == ["too_few_images"]
    assert "4 images" in problems[0].message
    assert manifest.channels[0].method is None
    with pytest.raises(UserError, match=r"channel 'C00': .*4 images"):
        load_correction(tmp_path, path, 0)
    assert load_correction(tmp_path, path, 0, force=True).method == "basic"
    with pytest.raises(StepFailed, match="4 images") as caught:
        analyse(tmp_path, inputs, correct=True)
    assert caught.value.code == "too_few_images"
    forced, _ = analyse(tmp_path, inputs, correct=True, force=True)
    plain, _ = analyse(tmp_path, inputs)
    flat, _ = analyse(tmp_path, inputs, correct=True, force=True, correct_method="flat")
    assert (forced.corrected, plain.corrected) == (True, False)
    assert (forced.corrections, forced.illumination) == ({"C00": "basic"}, path)
    assert (flat.corrections, plain.corrections) == ({"C00": "flat"}, {})
    assert len({forced.key, plain.key, flat.key}) == 3


def test_images_of_few_sites_are_warned_of(tmp_path: Path) -> None:
    made = plates.layout([[(0, 0, SIDE, SIDE)]], ("uint16",), height=64, width=64, n_tpoints=40)
    rng = np.random.default_rng(0)
    pixels = {(0, t, 0, 0): rng.integers(100, 200, (SIDE, SIDE)).astype("u2") for t in range(40)}
    inputs = plates.write(tmp_path, made, pixels)

    manifest, problems, _ = estimate(tmp_path, inputs)

    assert (manifest.channels[0].n_images, manifest.channels[0].n_sites) == (40, 1)
    assert [p.code for p in problems] == ["few_sites"]


def test_images_with_nan_are_left_out_and_counted(tmp_path: Path) -> None:
    boxes = [[(0, i * 64, SIDE, SIDE) for i in range(5)]]
    made = plates.layout(boxes, ("float32",), height=64, width=320, shard=512)
    rng = np.random.default_rng(0)
    pixels = {(i, 0, 0, 0): rng.uniform(1, 2, (SIDE, SIDE)).astype("f4") for i in range(5)}
    pixels[3, 0, 0, 0][7, 7] = np.nan
    inputs = plates.write(tmp_path, made, pixels)

    manifest, problems, path = estimate(tmp_path, inputs)

    assert (manifest.channels[0].n_images, manifest.channels[0].n_left_out) == (4, 1)
    assert "not_finite" in {p.code for p in problems}
    assert np.isfinite(load_correction(tmp_path, path, 0, force=True).gain).all()


def test_black_images_have_no_flat_field(tmp_path: Path) -> None:
    boxes = [[(0, i * 64, SIDE, SIDE) for i in range(31)]]
    made = plates.layout(boxes, ("uint16",), height=64, width=64 * 31, shard=512)
    black = np.zeros((SIDE, SIDE), np.uint16)
    inputs = plates.write(tmp_path, made, {(i, 0, 0, 0): black for i in range(31)})

    manifest, _, path = estimate(tmp_path, inputs)

    (channel,) = manifest.channels
    assert (channel.methods, channel.shading, channel.profile) == (("std", "flat"), None, {})
    np.testing.assert_array_equal(load_correction(tmp_path, path, 0).apply(black), black)


def test_sites_of_another_size_cannot_be_corrected(tmp_path: Path) -> None:
    made, inputs, _ = written(tmp_path, 31, sizes=(20,))
    _, _, path = estimate(tmp_path, inputs)

    with pytest.raises(UserError, match="site 32 of well A01 on plate p has 20 x 48") as caught:
        Corrections.resolve(tmp_path, path, made)

    assert caught.value.code == "image_size"


def test_clipped_pixels_are_counted(tmp_path: Path) -> None:
    made, inputs, pixels = written(tmp_path, 31)
    _, _, path = estimate(tmp_path, inputs)
    corrections = Corrections.resolve(tmp_path, path, made)

    corrections.apply(0, pixels[0, 0, 0, 0])
    bright = corrections.apply(0, np.full((SIDE, SIDE), 65535, np.uint16))

    gain = load_correction(tmp_path, path, 0).gain
    assert corrections.clipped == {0: int((gain > 1 + 0.5 / 65535).sum())}
    assert bright.max() == 65535
    assert corrections.n_clipped == corrections.clipped[0] > 0


def test_sites_of_another_size_are_left_out(tmp_path: Path) -> None:
    _, inputs, _ = written(tmp_path, 5, sizes=(20,))

    manifest, problems, _ = estimate(tmp_path, inputs)

    assert manifest.channels[0].n_images == 5
    assert {p.code for p in problems} == {"too_few_images", "image_size"}


def test_a_channel_without_images(tmp_path: Path) -> None:
    made, _, _ = written(tmp_path, 3)
    inputs = plates.write(tmp_path / "other", made, {})

    manifest, problems, path = estimate(tmp_path / "other", inputs)

    (channel,) = manifest.channels
    assert (channel.n_images, channel.path) == (0, None)
    assert [p.code for p in problems] == ["too_few_images"]
    with pytest.raises(DataMissing):
        load_correction(tmp_path / "other", path, 0, force=True)

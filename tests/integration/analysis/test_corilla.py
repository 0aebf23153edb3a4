"""Illumination statistics over many images, and analyses that use them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpu_workers.errors import DataMissing, UserError
from gpu_workers.messages import Problem
from gpu_workers.runner.execute import StepFailed, run_step
from gpu_workers.storage.illumination import IlluminationManifest, load_correction, load_manifest
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
    assert (channel.n_images, channel.method, channel.warning) == (110, "std", None)
    with np.load(tmp_path / channel.path) as data:  # type: ignore[operator]
        np.testing.assert_allclose(data["raw_mean"], np.log10(stack).mean(axis=0), rtol=1e-5)
        np.testing.assert_allclose(data["raw_std"], np.log10(stack).std(axis=0), rtol=1e-3)
        assert data["percentiles"][500] == np.percentile(stack, 50, method="inverted_cdf")
    assert channel.shading == pytest.approx(2, rel=0.2)  # 1 in the middle, 0.5 in the corners
    assert channel.residual is not None
    assert channel.residual < 0.01
    correction = load_correction(tmp_path, path, 0)
    assert (correction.method, correction.n_images) == ("std", 110)


def test_the_sample_is_bounded_stated_and_the_same_every_time(tmp_path: Path) -> None:
    _, inputs, _ = written(tmp_path, 12)

    first, _, path = estimate(tmp_path, inputs, max_images=5, batch_size=2)
    before = (tmp_path / str(first.channels[0].path)).read_bytes()
    second, _, _ = estimate(tmp_path, inputs, max_images=5, batch_size=4)

    assert first.channels[0].n_images == 5
    assert first.sampled == 5
    assert first.key == second.key
    assert (tmp_path / str(first.channels[0].path)).read_bytes()[:200] == before[:200]
    assert path.startswith(f"illumination/{first.key}/")


def test_too_few_images_are_said_and_not_used(tmp_path: Path) -> None:
    _, inputs, _ = written(tmp_path, 4)
    manifest, problems, path = estimate(tmp_path, inputs)
    inputs["illumination"] = path

    assert [p.code for p in problems] == ["too_few_images"]
    assert "4 images" in problems[0].message
    assert manifest.channels[0].method is None
    with pytest.raises(UserError, match="4 images"):
        load_correction(tmp_path, path, 0)
    assert load_correction(tmp_path, path, 0, force=True).method == "flat"
    with pytest.raises(StepFailed, match="4 images") as caught:
        analyse(tmp_path, inputs, correct=True)
    assert caught.value.code == "too_few_images"
    forced, _ = analyse(tmp_path, inputs, correct=True, force=True)
    plain, _ = analyse(tmp_path, inputs)
    assert (forced.corrected, plain.corrected) == (True, False)
    assert forced.key != plain.key


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

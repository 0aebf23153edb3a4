"""Whole pipelines on a device, site by site and several sites at once: what they find, and what is copied."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import imagecodecs
import numpy as np
import pandas as pd
import pytest
import tifffile

from gpu_workers import xp
from gpu_workers.__main__ import main
from gpu_workers.errors import UserError
from gpu_workers.imaging.device.comparison import difference, simulated
from gpu_workers.pipelines.batches import process_batch, sites_per_batch
from gpu_workers.pipelines.description import Pipeline
from gpu_workers.pipelines.prepared import Images, Outcome, Prepared, prepare
from tests.unit.device.standin.modules import Copied
from tests.unit.pipelines.test_plain import FIND, blobs, folder_of_images, run, table


def _use(module: str, outputs: dict[str, str] | None = None, **inputs: str) -> dict[str, object]:
    return {"module": module, "inputs": inputs, "outputs": outputs or {}}


ON_DEVICE = [
    _use("smooth", {"smoothed_image": "smooth"}, image="dna"),
    _use("threshold_otsu", {"mask": "bright"}, image="smooth"),
    _use("fill", {"filled_mask": "filled"}, mask="bright"),
    _use("separate", {"labels": "nuclei"}, mask="filled"),
    _use("expand", {"labels": "cells"}, labels="nuclei"),
    _use("subtract", {"labels": "rings"}, outer="cells", inner="nuclei"),
]
MEASURED = _use("measure_intensity", extract_objects="rings", intensity_image="*")


def _prepared(*modules: dict[str, object], channels: Sequence[str] = ("DNA", "ER")) -> Prepared:
    pipeline = {
        "channels": {"dna": "DNA"},
        "modules": list(modules),
        "objects": [{"name": n.title(), "labels": n} for n in ("nuclei", "rings")],
        "images": [{"name": "Smooth", "image": "smooth"}],
    }
    return prepare(Pipeline.model_validate(pipeline), tuple(channels))


def _site(seed: int, shape: tuple[int, int] = (90, 110)) -> Images:
    pixels = simulated(shape, seed)
    return Images({"DNA": pixels, "ER": pixels[:, ::-1].copy()}, shape)


def _alike(found: Outcome, expected: Outcome) -> None:
    assert found.objects.keys() == expected.objects.keys()
    for name, objects in expected.objects.items():
        np.testing.assert_array_equal(found.objects[name].labels, objects.labels)
        assert found.objects[name].columns.keys() == objects.columns.keys()
        for column, values in objects.columns.items():
            assert difference(values, found.objects[name].columns[column]) <= 1e-9
    for name, image in expected.images.items():
        # the Gaussian's float32 sums
        assert image is not None
        np.testing.assert_allclose(found.images[name], image, rtol=1e-5)


def test_a_pipeline_finds_the_same_on_the_device(device: str) -> None:
    prepared, site = _prepared(*ON_DEVICE, MEASURED), _site(1)

    found = prepared.process(site, device="gpu")

    assert found.objects["Nuclei"].labels.max() > 2
    _alike(found, prepared.process(site))


def test_one_copy_goes_in_and_one_comes_out(device: str) -> None:
    prepared, site = _prepared(*ON_DEVICE), _site(1)
    if device != "stand-in":
        pytest.skip("only the stand-in counts copies")
    prepared.process(site, device="gpu")
    there, back = Copied.there, Copied.back

    prepared.process(site, device="gpu")

    assert (Copied.there - there, Copied.back - back) == (1, 1)


def test_a_batch_of_sites_of_any_shape_is_copied_once(device: str) -> None:
    prepared = _prepared(*ON_DEVICE, channels=("DNA",))
    sites = [_site(seed, (70 + seed, 90)) for seed in range(5)]
    there, back = Copied.there, Copied.back

    found = process_batch(prepared, sites, lanes=1)

    if device == "stand-in":
        assert (Copied.there - there, Copied.back - back) == (1, 1)
    for outcome, site in zip(found, sites, strict=True):
        _alike(outcome, prepared.process(site))


def test_a_site_without_its_image_has_no_objects(device: str) -> None:
    prepared = _prepared(*ON_DEVICE, MEASURED)
    sites = [_site(1), Images({"DNA": None, "ER": _site(1).channels["ER"]}, (90, 110))]

    found = process_batch(prepared, sites)

    assert found[0].objects["Nuclei"].labels.any()
    assert not found[1].objects["Nuclei"].labels.any()
    assert found[1].images["Smooth"] is None


def test_lanes_change_nothing(device: str) -> None:
    prepared = _prepared(*ON_DEVICE, MEASURED)
    sites = [_site(seed) for seed in range(3)]

    for outcome, site in zip(process_batch(prepared, sites, lanes=2), sites, strict=True):
        _alike(outcome, prepared.process(site))


def test_on_the_cpu_a_batch_is_one_site_after_the_other() -> None:
    prepared, site = _prepared(*ON_DEVICE), _site(1)

    (found,) = process_batch(prepared, [site], device="cpu")

    _alike(found, prepared.process(site))


@pytest.mark.skipif(xp.has_gpu(), reason="there is a device here")
def test_without_a_device_a_batch_is_refused() -> None:
    with pytest.raises(UserError) as caught:
        process_batch(_prepared(*ON_DEVICE), [_site(1)])
    assert caught.value.code == "no_gpu"


def test_arrays_of_any_type_and_size_travel_together(device: str) -> None:
    arrays = [
        np.arange(6, dtype=np.uint16).reshape(2, 3), np.zeros((0, 4), np.float32),
        np.array([True, False]), np.full((3, 3), np.nan), np.arange(5, dtype=np.int32)[::2],
    ]  # fmt: skip

    there = xp.to_device_together(arrays)
    back = xp.to_host_together([there[0], arrays[1], *there[2:]])

    for given, found in zip(arrays, back, strict=True):
        assert found.dtype == given.dtype
        np.testing.assert_array_equal(found, given)
    assert all(xp.namespace(a) is not np for a in there)


@pytest.mark.parametrize(
    ("shape", "bytes_per_pixel", "free", "sites"),
    [((512, 512), 50, 2**37, 128), ((512, 512), 50, 2**25, 1), ((9000, 9000), 50, 2**37, 1), ((0, 5), 1, 2**30, 2**25)],
)  # fmt: skip
def test_a_batch_fills_a_card_within_its_memory(
    shape: tuple[int, int], bytes_per_pixel: int, free: int, sites: int
) -> None:
    assert sites_per_batch(shape, bytes_per_pixel, free) == sites


def test_files_are_run_in_batches_and_give_what_the_cpu_gives(device: str, tmp_path: Path) -> None:
    folder = folder_of_images(tmp_path, 3)
    (folder / "img_3.png").write_bytes(imagecodecs.png_encode(blobs(3, side=80)))
    channel = ("--channel", f"DNA={folder}/img_*.png")
    there = Copied.there

    found = run(folder, FIND, *channel, "--device", "gpu", out="gpu")

    if device == "stand-in":
        assert Copied.there == there + 1
    expected = run(folder, FIND, *channel, out="cpu")
    for name in ("img_0", "img_3"):
        labels = (
            tifffile.imread(o / "labels" / "Nuclei" / f"{name}.tif") for o in (found, expected)
        )
        np.testing.assert_array_equal(*labels)
    pd.testing.assert_frame_equal(
        table(found, "Nuclei"), table(expected, "Nuclei"), rtol=1e-9, atol=1e-12
    )


def test_an_image_that_can_not_be_analysed_is_named(
    device: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = folder_of_images(tmp_path, 2)
    pipeline = FIND.replace("method: none", "method: intensity")
    (folder / "pipeline.yaml").write_text(pipeline)
    options = ["--channel", f"DNA={folder}/img_*.png", "--device", "gpu"]

    code = main(
        ["pipeline", "run", str(folder / "pipeline.yaml"), "--out", str(folder / "o"), *options]
    )

    assert code != 0
    assert "separate" in capsys.readouterr().err

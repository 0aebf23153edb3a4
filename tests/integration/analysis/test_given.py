"""Label images and derived channels as inputs: uploads, imported labels, objects of earlier runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from gpu_workers.messages import Json
from gpu_workers.runner.execute import StepFailed
from gpu_workers.storage.derived import load_derived
from gpu_workers.storage.segmentations import UploadedPlane, publish, write_plane
from tests.integration.analysis.pipelines import (
    BRIGHT,
    PLATE,
    SIDE,
    Results,
    bright,
    image,
    layout,
    measured,
    pipeline,
    run,
    use,
)
from tests.integration.mosaics import plates

MEASURE: Json = {
    "labels": {"found": "Things"},
    "modules": [use("measure_intensity", {"extract_objects": "found", "intensity_image": ["c"]})],
    "channels": {"c": "C01"},
    "objects": [{"name": "Things", "labels": "found"}],
}


def upload(root: Path, made: Any, name: str, labels: np.ndarray, key: str = "up1") -> str:
    plane = UploadedPlane(type=name, plate=PLATE, site=0)
    write_plane(root, key, made, plane, labels)
    return publish(root, key, made, [plane])


def stage(root: Path) -> dict[str, str]:
    """Write a plate of two channels: squares in the first, a slope in the second."""
    slope = np.add.outer(np.arange(SIDE), np.arange(SIDE)).astype(np.uint16)
    squares = image((10, 10, 6), (40, 50, 8))
    planes = {(0, 0, 0, 0): squares, (0, 0, 1, 0): slope}
    return plates.write(root, layout(n_channels=2), planes)


def test_objects_of_an_earlier_run_are_measured_further_and_lose_nothing(tmp_path: Path) -> None:
    inputs = stage(tmp_path)
    first, _ = run(tmp_path, inputs, pipeline([*bright(), measured(channels=["c"])]))
    again = {**inputs, "objects/Things": first["objects"]}

    second, problems = run(tmp_path, again, MEASURE)

    old, new = Results(tmp_path, first), Results(tmp_path, second)
    assert problems == []
    assert second != first
    np.testing.assert_array_equal(new.mosaic(), old.mosaic())
    assert new.column("Intensity_mean_C00").tolist() == [BRIGHT, BRIGHT]
    assert new.column("Intensity_mean_C01").tolist() == [2 * 12.5, 43.5 + 53.5]
    assert new.manifest.given == {"objects/Things": first["objects"]}
    units = {f.name: f.unit for f in new.manifest.type("Things").features}
    assert all(units[f.name] == f.unit for f in old.manifest.type("Things").features)


def test_measuring_again_starts_from_where_it_started_before(tmp_path: Path) -> None:
    inputs = stage(tmp_path)
    first, _ = run(tmp_path, inputs, pipeline([*bright(), measured(channels=["c"])]))
    second, _ = run(tmp_path, {**inputs, "objects/Things": first["objects"]}, MEASURE)

    third, _ = run(tmp_path, {**inputs, "objects/Things": second["objects"]}, MEASURE)

    assert third == second


def test_measured_anew_replaces_what_was_known(tmp_path: Path) -> None:
    inputs = stage(tmp_path)
    first, _ = run(tmp_path, inputs, pipeline([*bright(), measured()]))

    second, _ = run(tmp_path, {**inputs, "objects/Things": first["objects"]}, MEASURE)

    names = [f.name for f in Results(tmp_path, second).manifest.type("Things").features]
    assert len(names) == len(set(names))
    assert set(names) == {f.name for f in Results(tmp_path, first).manifest.type("Things").features}


def test_known_features_choose_among_objects(tmp_path: Path) -> None:
    inputs = stage(tmp_path)
    first, _ = run(tmp_path, inputs, pipeline([*bright(), measured()]))
    kept = use(
        "filter_objects",
        {"labels": "given", "measurements": "given"},
        {"filtered": "found"},
        conditions=[{"feature": "Intensity_mean_C01", "minimum": 50}],
    )
    text = pipeline(
        [kept], labels={"given": "Things"}, objects=[{"name": "Far", "labels": "found"}]
    )

    second, _ = run(tmp_path, {**inputs, "objects/Things": first["objects"]}, text)

    assert Results(tmp_path, second).places("Far")["y"].tolist() == [43.5]


def test_objects_that_a_neighbour_counts_stay_its_own(tmp_path: Path) -> None:
    # two sites overlap by 20 px; one object lies in the overlap, seen by both
    boxes = [(0, 0, SIDE, SIDE), (0, SIDE - 20, SIDE, SIDE)]
    made = plates.layout([boxes], ("uint16", "uint16"), height=512, width=512, shard=512)
    left, right = image((30, SIDE - 18, 6), (60, 10, 6)), image((30, 2, 6))
    planes = {(s, 0, c, 0): p for s, p in enumerate((left, right)) for c in (0, 1)}
    inputs = plates.write(tmp_path, made, planes)
    first, _ = run(tmp_path, inputs, pipeline([*bright(), measured(channels=["c"])]))

    second, _ = run(tmp_path, {**inputs, "objects/Things": first["objects"]}, MEASURE)

    old, new = Results(tmp_path, first), Results(tmp_path, second)
    assert old.manifest.plate("Things", PLATE).n_objects == 2
    for name, values in old.places().items():
        np.testing.assert_array_equal(new.places()[name], values)
    assert np.isfinite(new.column("Intensity_mean_C00")).all()


def test_uploaded_labels_are_measured(tmp_path: Path) -> None:
    inputs, made = stage(tmp_path), layout(n_channels=2)
    labels = np.zeros((SIDE, SIDE), np.uint32)
    labels[5:9, 5:9], labels[60:62, 60:62] = 7, 4_000_000_000
    inputs["segmentations"] = upload(tmp_path, made, "Things", labels)

    products, problems = run(tmp_path, inputs, MEASURE)

    found = Results(tmp_path, products)
    assert problems == []
    assert found.column("Intensity_mean_C01").tolist() == [13, 121]
    assert found.manifest.given == {"segmentations/Things": inputs["segmentations"]}


def test_the_built_in_pipeline_measures_what_was_uploaded(tmp_path: Path) -> None:
    inputs, made = stage(tmp_path), layout(n_channels=2)
    inputs["segmentations"] = upload(tmp_path, made, "Spots", np.eye(SIDE, dtype=np.uint32))

    products, _ = run(tmp_path, inputs, None)

    found = Results(tmp_path, products)
    assert [t.name for t in found.manifest.types] == ["Spots"]
    assert found.column("Intensity_mean_C01", "Spots").tolist() == [SIDE - 1]


def test_only_uploads_that_are_used_make_another_version(tmp_path: Path) -> None:
    inputs, made = stage(tmp_path), layout(n_channels=2)
    labels = np.eye(SIDE, dtype=np.uint32)
    first = upload(tmp_path, made, "Things", labels)
    other = UploadedPlane(type="Others", plate=PLATE, site=0)
    write_plane(tmp_path, "up2", made, other, labels)
    second = publish(tmp_path, "up2", made, [other], first)

    before, _ = run(tmp_path, {**inputs, "segmentations": first}, MEASURE)
    after, _ = run(tmp_path, {**inputs, "segmentations": second}, MEASURE)

    assert before == after


def test_of_labels_with_one_name_the_uploaded_win_and_the_others_stay_in_reach(
    tmp_path: Path,
) -> None:
    inputs, made = stage(tmp_path), layout(n_channels=2)
    first, _ = run(tmp_path, inputs, pipeline([*bright(), measured(channels=["c"])]))
    labels = np.zeros((SIDE, SIDE), np.uint32)
    labels[5:9, 5:9] = 1
    inputs["segmentations"] = upload(tmp_path, made, "Things", labels)
    inputs["objects/Things"] = first["objects"]

    plain, told = run(tmp_path, inputs, MEASURE)
    chosen, silent = run(tmp_path, inputs, {**MEASURE, "labels": {"found": "objects:Things"}})

    assert [p.code for p in told] == ["ambiguous_labels"]
    assert "objects:Things" in told[0].message
    assert Results(tmp_path, plain).column("Intensity_mean_C01").tolist() == [13]
    assert silent == []
    assert Results(tmp_path, chosen).column("Intensity_mean_C01").tolist() == [25, 97]


def test_a_site_without_uploaded_labels_is_told(tmp_path: Path) -> None:
    made = layout(2, n_channels=2)
    planes = {(s, 0, c, 0): image() for s in (0, 1) for c in (0, 1)}
    inputs = plates.write(tmp_path, made, planes)
    inputs["segmentations"] = upload(tmp_path, made, "Things", np.eye(SIDE, dtype=np.uint32))

    products, problems = run(tmp_path, inputs, MEASURE)

    assert [p.code for p in problems] == ["missing_labels"]
    assert "site 2" in problems[0].message
    assert Results(tmp_path, products).places()["site"].tolist() == [0]


def test_objects_found_on_another_layout_are_refused(tmp_path: Path) -> None:
    inputs = stage(tmp_path)
    first, _ = run(tmp_path, inputs, pipeline([*bright(), measured(channels=["c"])]))
    manifest = tmp_path / first["objects"]
    manifest.write_text(manifest.read_text().replace('"layout": "1a"', '"layout": "9z"'))

    with pytest.raises(StepFailed) as caught:
        run(tmp_path, {**inputs, "objects/Things": first["objects"]}, MEASURE)

    assert caught.value.code == "stale_objects"


def ratio(name: str = "ratio") -> Json:
    """Return a pipeline whose derived channel is that of two channels, divided."""
    options = {"background_numerator": 0, "background_denominator": 0, "floor": 1}
    made = use("ratio", {"numerator": "a", "denominator": "b"}, {"ratio_image": "x"}, **options)
    return {
        "channels": {"a": "C00", "b": "C01"},
        "modules": [made],
        "images": [{"name": name, "image": "x"}],
    }


def test_an_image_made_in_a_pipeline_becomes_a_channel_of_the_map(tmp_path: Path) -> None:
    made = layout(2, n_channels=2, n_tpoints=2)
    rng = np.random.default_rng(5)
    planes = {
        (s, t, c, 0): rng.integers(1, 999, (SIDE, SIDE)).astype(np.uint16)
        for s in (0, 1) for t in (0, 1) for c in (0, 1)
    }  # fmt: skip
    inputs = plates.write(tmp_path, made, planes)

    products, problems = run(tmp_path, inputs, ratio())

    manifest = load_derived(tmp_path, products["derived"])
    (channel,), (plate,) = manifest.channels, manifest.plates
    assert problems == []
    assert list(products) == ["derived"]
    assert (channel.name, channel.dtype, manifest.n_tpoints) == ("ratio", "float32", 2)
    mosaic: Any = zarr.open_group(tmp_path / plate.path, mode="r")["0"]
    for (s, t, c, _), pixels in planes.items():
        if c == 1:
            continue
        expected = pixels / planes[s, t, 1, 0].astype(float)
        stored = np.asarray(mosaic[t, 0, 0, :SIDE, s * SIDE : (s + 1) * SIDE])
        # half a step of 65,535 over the whole range, and single precision
        found = stored * channel.scale + channel.offset
        np.testing.assert_allclose(found, expected, atol=channel.scale / 2 + 1e-4)
        site: Any = zarr.open_group(tmp_path / manifest.images[0].path / f"A/1/{s}", mode="r")["0"]
        np.testing.assert_allclose(np.asarray(site[t, 0, 0]), expected, rtol=1e-6)
    assert channel.min <= channel.window[0] < channel.window[1] <= channel.max
    assert sum(channel.histogram.counts) == 4 * SIDE * SIDE


def test_a_derived_channel_is_measured_by_a_later_pipeline(tmp_path: Path) -> None:
    inputs = stage(tmp_path)
    first, _ = run(tmp_path, inputs, ratio())
    inputs["derived/ratio"] = first["derived"]
    text = pipeline([*bright(), measured(channels=["r"])], channels={"c": "C00", "r": "ratio"})

    products, _ = run(tmp_path, inputs, text)

    found = Results(tmp_path, products)
    slope = np.add.outer(np.arange(SIDE), np.arange(SIDE)).astype(float)
    expected = [(BRIGHT / slope[y : y + n, x : x + n]).mean() for y, x, n in
                ((10, 10, 6), (40, 50, 8))]  # fmt: skip
    np.testing.assert_allclose(found.column("Intensity_mean_ratio"), expected, rtol=1e-5)
    assert found.manifest.given == {"derived/ratio": first["derived"]}
    # a channel that is not named is no part of "*" and changes no key
    plain, _ = run(tmp_path, inputs, pipeline([*bright(), measured()]))
    without, _ = run(tmp_path, stage(tmp_path), pipeline([*bright(), measured()]))
    assert plain == without


def test_whole_numbers_are_stored_as_they_are(tmp_path: Path) -> None:
    inputs = stage(tmp_path)
    text = {
        "channels": {"a": "C00"},
        "modules": [
            *bright("a"),
            use("convert_to_intensity", {"image": "found"}, {"intensity_image": "x"}),
        ],
        "images": [{"name": "labels", "image": "x"}],
    }

    products, _ = run(tmp_path, inputs, text)

    (channel,) = load_derived(tmp_path, products["derived"]).channels
    assert (channel.scale, channel.offset) == (1, 0)


def test_a_derived_channel_may_not_hide_one_of_the_experiment(tmp_path: Path) -> None:
    with pytest.raises(StepFailed) as caught:
        run(tmp_path, stage(tmp_path), ratio("C01"))

    assert caught.value.code == "name_taken"


def test_a_stack_of_derived_images_has_a_plane_each(tmp_path: Path) -> None:
    made = layout(n_channels=2, n_zplanes=3)
    planes = {(0, 0, c, z): image((10 * z, 10, 5)) for z in range(3) for c in (0, 1)}
    inputs = plates.write(tmp_path, made, planes)
    text = {
        "dimensions": 3,
        "channels": {"c": "C00"},
        "modules": [use("smooth", {"image": "c"}, {"smoothed_image": "x"})],
        "images": [{"name": "soft", "image": "x"}],
    }

    first, _ = run(tmp_path, inputs, text)
    inputs["derived/soft"] = first["derived"]
    products, _ = run(
        tmp_path, inputs,
        pipeline([*bright(), measured(channels=["d"])], dimensions=3,
                 channels={"c": "C00", "d": "soft"}),
    )  # fmt: skip

    assert load_derived(tmp_path, first["derived"]).n_zplanes == 3
    values = Results(tmp_path, products).column("Intensity_max_soft")
    assert values.size == 3
    assert ((values > 100) & (values < BRIGHT)).all()


def test_objects_of_single_planes_are_no_volumes(tmp_path: Path) -> None:
    made = layout(n_channels=2, n_zplanes=2)
    planes = {(0, 0, c, z): image((10, 10, 5)) for z in (0, 1) for c in (0, 1)}
    inputs = plates.write(tmp_path, made, planes)
    first, _ = run(tmp_path, inputs, pipeline([*bright(), measured(channels=["c"])]))

    with pytest.raises(StepFailed) as caught:
        run(tmp_path, {**inputs, "objects/Things": first["objects"]}, {**MEASURE, "dimensions": 3})

    assert caught.value.code == "labels_of_planes"


def test_planes_of_volumes_keep_what_is_known_of_the_whole(tmp_path: Path) -> None:
    made = layout(n_channels=2, n_zplanes=2)
    planes = {(0, 0, c, z): image((10, 10, 5 + z)) for z in (0, 1) for c in (0, 1)}
    inputs = plates.write(tmp_path, made, planes)
    volume = pipeline([*bright(), measured(channels=["c"])], dimensions=3)
    first, _ = run(tmp_path, inputs, volume)

    second, _ = run(tmp_path, {**inputs, "objects/Things": first["objects"]}, MEASURE)

    found = Results(tmp_path, second)
    assert found.places()["z"].tolist() == [0, 1]
    assert found.column("Intensity_sum_C00").tolist() == [61 * BRIGHT] * 2
    assert found.column("Intensity_sum_C01").tolist() == [25 * BRIGHT, 36 * BRIGHT]


def test_pixels_that_are_not_finite_are_told_and_shown_as_the_least(tmp_path: Path) -> None:
    made = plates.layout([[(0, 0, SIDE, SIDE)]], ("float32",), height=512, width=512, shard=512)
    pixels = image((10, 10, 5)).astype(np.float32) / 7
    pixels[0, :3] = np.nan
    inputs = plates.write(tmp_path, made, {(0, 0, 0, 0): pixels})
    text = {
        "channels": {"a": "C00"},
        "modules": [use("convert_to_intensity", {"image": "a"}, {"intensity_image": "x"})],
        "images": [{"name": "same", "image": "x"}],
    }

    products, problems = run(tmp_path, inputs, text)

    manifest = load_derived(tmp_path, products["derived"])
    mosaic: Any = zarr.open_group(tmp_path / manifest.plates[0].path, mode="r")["0"]
    assert [p.code for p in problems] == ["not_finite"]
    assert manifest.channels[0].n_not_finite == 3
    assert np.asarray(mosaic[0, 0, 0, 0, :3]).tolist() == [0, 0, 0]
    assert manifest.channels[0].min == pytest.approx(100 / 7)


def test_objects_that_are_measured_further_keep_their_parent(tmp_path: Path) -> None:
    inputs = stage(tmp_path)
    things = {"name": "Things", "labels": "found"}
    parts = {"name": "Parts", "labels": "found", "parent": "Things"}
    first, _ = run(tmp_path, inputs, pipeline([*bright()], objects=[things, parts]))
    text = {
        **MEASURE,
        "labels": {"found": "Parts"},
        "objects": [{"name": "Parts", "labels": "found"}],
    }

    second, _ = run(tmp_path, {**inputs, "objects": first["objects"]}, text)

    assert Results(tmp_path, second).manifest.type("Parts").parent == "Things"


def test_points_that_are_measured_further_stay_points(tmp_path: Path) -> None:
    inputs = stage(tmp_path)
    points = {"name": "Things", "labels": "found", "representation": "points"}
    first, _ = run(tmp_path, inputs, pipeline([*bright()], objects=[points]))

    second, _ = run(tmp_path, {**inputs, "objects/Things": first["objects"]}, MEASURE)

    old, new = Results(tmp_path, first), Results(tmp_path, second)
    np.testing.assert_array_equal(new.mosaic(), old.mosaic())
    assert new.manifest.type("Things").representation == "points"
    assert not new.manifest.plate("Things", PLATE).outlines

"""What pipelines can express, through the whole step: text, stacks, volumes, time, points, many objects."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from gpu_workers import registry
from gpu_workers.errors import UserError
from gpu_workers.messages import Limits
from gpu_workers.registry import StepContext
from gpu_workers.runner.execute import StepFailed
from gpu_workers.steps.jterator.arguments import JteratorArguments
from gpu_workers.storage import outlines
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
from tests.integration.analysis.scenes import scene
from tests.integration.mosaics import plates


def test_a_pipeline_in_text_gives_what_the_same_one_gives_in_values(tmp_path: Path) -> None:
    inputs = plates.write(tmp_path, layout(), {(0, 0, 0, 0): image((10, 20, 8))})
    made = pipeline([*bright(), measured()])

    from_text, _ = run(tmp_path, inputs, yaml.safe_dump(made))
    from_values, _ = run(tmp_path, inputs, made)

    found = Results(tmp_path, from_text)
    assert from_text == from_values
    assert found.column("Intensity_mean_C00").tolist() == [BRIGHT]
    assert found.manifest.modules["label"] == registry.load("modules", "label").VERSION
    assert found.manifest.code


def test_text_that_is_no_pipeline_is_refused_with_its_line(tmp_path: Path) -> None:
    inputs = plates.write(tmp_path, layout(), {(0, 0, 0, 0): image()})

    with pytest.raises(StepFailed, match="line 2") as caught:
        run(tmp_path, inputs, "modules: []\nmodules: []")

    assert caught.value.code == "invalid_pipeline"


def test_an_object_of_a_stack_is_one_row_with_one_index_in_all_its_planes(tmp_path: Path) -> None:
    made = layout(n_zplanes=4)
    # one object in planes 0 to 2 that grows, one in plane 3 below its left half
    planes = [image((10, 10, 4)), image((10, 10, 6)), image((10, 10, 8)), image((10, 50, 4))]
    inputs = plates.write(tmp_path, made, {(0, 0, 0, z): p for z, p in enumerate(planes)})

    products, problems = run(tmp_path, inputs, pipeline([*bright(), measured()], dimensions=3))

    found = Results(tmp_path, products)
    places, mosaic = found.places(), found.mosaic()
    assert problems == []
    assert found.manifest.dimensions == 3
    assert places["label"].tolist() == [1, 2]
    assert list(zip(places["z0"], places["z1"], strict=True)) == [(0, 3), (3, 4)]
    # 16, 36 and 64 pixels in planes 0, 1 and 2: the centroid lies in plane (36 + 128) / 116 = 1.41
    assert places["z"].tolist() == [1, 3]
    assert places["y0"].tolist() == [10, 10]
    assert places["x1"].tolist() == [18, 54]
    for z, plane in enumerate(planes):
        expected = np.where(plane == BRIGHT, 1 if z < 3 else 2, 0)
        np.testing.assert_array_equal(mosaic[0, z, :SIDE, :SIDE], expected)
        np.testing.assert_array_equal(found.labels()[0, z], expected)

    def tile(z: int) -> bytes:
        path = products["objects"]
        return outlines.tile(tmp_path, path, "Things", PLATE, 0, 0, 512, z=z)

    # the outline of the maximum projection is shown in every plane of its object
    assert tile(0) == tile(1) == tile(2) != b""
    assert tile(3) not in (b"", tile(0))


def test_a_stack_that_lacks_a_plane_is_a_missing_image(tmp_path: Path) -> None:
    made = layout(n_zplanes=2)
    inputs = plates.write(tmp_path, made, {(0, 0, 0, 0): image((10, 10, 4))})

    products, problems = run(tmp_path, inputs, pipeline([*bright(), measured()], dimensions=3))

    assert [p.code for p in problems] == ["missing_plane"]
    assert Results(tmp_path, products).manifest.plate("Things", PLATE).n_objects == 0


def test_volumes_take_no_projection(tmp_path: Path) -> None:
    inputs = plates.write(tmp_path, layout(), {(0, 0, 0, 0): image()})

    with pytest.raises(StepFailed) as caught:
        run(tmp_path, inputs, pipeline(bright(), dimensions=3), projection="max")

    assert caught.value.code == "wrong_projection"


@pytest.mark.parametrize("stored", [False, True])
def test_a_pipeline_that_takes_stacks_sees_projections_beside_them(
    tmp_path: Path, stored: bool
) -> None:
    made = layout(n_zplanes=3)
    planes = [image((10, 10, 4)), image((10, 30, 4)), image((50, 10, 4))]
    projected = np.max(planes, axis=0)
    if stored:  # told apart from one that is made of the planes
        projected = projected + np.where(projected == BRIGHT, 1, 0).astype(np.uint16)
    inputs = plates.write(
        tmp_path, made, {(0, 0, 0, z): p for z, p in enumerate(planes)},
        "max" if stored else None, {(0, 0, 0, 0): projected} if stored else None,
    )  # fmt: skip
    modules = [
        *bright(),
        use("project", {"image": "s"}, {"projected_image": "total"}, method="sum"),
        measured(channels=["c", "total"]),
    ]

    products, _ = run(tmp_path, inputs, pipeline(modules, stacks={"s": "C00"}))

    found = Results(tmp_path, products)
    assert found.manifest.projection == "max"
    assert found.places()["z"].tolist() == [0, 0, 0]
    assert found.column("Intensity_mean_C00").tolist() == [BRIGHT + stored] * 3
    assert found.column("Intensity_mean_total").tolist() == [BRIGHT + 200] * 3


def test_tracks_keep_their_label_over_time_and_have_a_row_each_time(tmp_path: Path) -> None:
    made = layout(n_tpoints=3)
    # two objects move down; the upper one of t 0 is the lower one of none
    frames = [image((10 + 6 * t, 20, 6), (50 + 6 * t, 20, 6)) for t in range(3)]
    inputs = plates.write(tmp_path, made, {(0, t, 0, 0): f for t, f in enumerate(frames)})
    tracked = {"tracked": "found", "memory": "memory"}
    modules = [
        *bright(labels="raw"),
        use("track_objects", {"labels": "raw"}, tracked),
        measured(),
    ]

    products, _ = run(tmp_path, inputs, pipeline(modules))

    found = Results(tmp_path, products)
    places = found.places()
    assert places["t"].tolist() == [0, 0, 1, 1, 2, 2]
    np.testing.assert_array_equal(places["label"], [1, 2, 1, 2, 1, 2])
    np.testing.assert_allclose(places["y"], [12.5, 52.5, 18.5, 58.5, 24.5, 64.5])
    np.testing.assert_array_equal(found.column("Track_number"), places["label"])


def test_of_points_centres_are_kept_and_features_are_those_of_the_whole_object(
    tmp_path: Path,
) -> None:
    pixels = image((0, 40, 5), (30, 30, 21), (70, 0, 3))
    inputs = plates.write(tmp_path, layout(), {(0, 0, 0, 0): pixels})
    kept = {"name": "Things", "labels": "found", "representation": "points"}
    whole = {"name": "Whole", "labels": "found"}

    products, _ = run(tmp_path, inputs, pipeline([*bright(), measured()], objects=[kept, whole]))

    found = Results(tmp_path, products)
    points, areas = found.places(), found.places("Whole")
    assert not found.manifest.plate("Things", PLATE).outlines
    assert found.manifest.type("Things").representation == "points"
    for name in ("y", "x", "label", "is_border", "y0", "x1"):
        np.testing.assert_array_equal(points[name], areas[name])
    np.testing.assert_array_equal(
        found.column("Intensity_sum_C00"), found.column("Intensity_sum_C00", "Whole")
    )
    assert points["is_border"].tolist() == [True, False, True]
    # a disc of radius 2 has 13 pixels, one of which lies outside for the last
    mosaic = found.mosaic()[0, 0, :SIDE, :SIDE]
    assert np.bincount(mosaic.ravel())[1:].tolist() == [13, 13, 12]
    np.testing.assert_array_equal(mosaic, found.labels()[0, 0])
    assert mosaic[40, 38:43].tolist() == [2] * 5
    folder = tmp_path / found.manifest.plate("Things", PLATE).path
    assert not (folder / "outlines").exists()


def test_more_points_than_16_bits_hold(tmp_path: Path) -> None:
    side = 530
    made = plates.layout([[(0, 0, side, side)]], ("uint16",), height=1024, width=1024)
    pixels = np.full((side, side), 100, np.uint16)
    pixels[::2, ::2] = BRIGHT
    inputs = plates.write(tmp_path, made, {(0, 0, 0, 0): pixels})
    kept = {"name": "Things", "labels": "found", "representation": "points"}
    modules = [
        bright()[0],
        use("label", {"mask": "found_mask"}, {"label_image": "found"}, connectivity=4),
        measured(),
    ]

    products, _ = run(tmp_path, inputs, pipeline(modules, objects=[kept]))

    found = Results(tmp_path, products)
    n = (side // 2) ** 2
    assert found.manifest.plate("Things", PLATE).n_objects == n > 65_536
    assert (found.column("Intensity_mean_C00") == BRIGHT).all()
    # each has at least its centre
    mosaic = found.mosaic()[0, 0, :side, :side]
    np.testing.assert_array_equal(mosaic[::2, ::2].ravel(), np.arange(1, n + 1))


def test_a_site_that_does_not_fit_into_memory_is_refused_with_numbers(tmp_path: Path) -> None:
    inputs = plates.write(tmp_path, layout(), {(0, 0, 0, 0): image()})
    step: Any = registry.load("steps", "jterator")()
    arguments = JteratorArguments(pipeline=pipeline(bright()))

    def plan(memory_mb: int) -> None:
        context = StepContext(
            tmp_path, plates.experiment(), inputs=inputs, limits=Limits(memory_mb=memory_mb)
        )
        step.plan(context, arguments)

    plan(2000)
    with pytest.raises(UserError, match=r"96 x 96 px .* 100 MB: raise the step's memory") as caught:
        plan(100)
    assert caught.value.code == "not_enough_memory"


def test_only_channels_that_are_used_are_read(tmp_path: Path) -> None:
    inputs = plates.write(tmp_path, layout(n_channels=2), {(0, 0, 0, 0): image((10, 10, 4))})

    named, silent = run(tmp_path, inputs, pipeline([*bright(), measured(channels=["c"])]))
    _, told = run(tmp_path, inputs, pipeline([*bright(), measured()]))

    assert silent == []
    assert [p.code for p in told] == ["missing_plane"]
    assert Results(tmp_path, named).column("Intensity_max_C00").tolist() == [BRIGHT]


def test_a_pipeline_of_the_library_finds_its_channel(tmp_path: Path) -> None:
    made = scene(wells=1, rows=1, columns=1)
    inputs = plates.write(tmp_path, made.layout, made.planes())

    products, _ = run(tmp_path, inputs, None, template="nuclei", template_channels={"DNA": "C00"})

    found = Results(tmp_path, products)
    assert found.manifest.plate("Nuclei", PLATE).n_objects == made.truth.max()
    assert list(found.manifest.channels.values()) == ["C00"]


def test_measuring_what_is_not_there_is_refused(tmp_path: Path) -> None:
    inputs = plates.write(tmp_path, layout(), {(0, 0, 0, 0): image()})
    text = pipeline([], labels={"found": "Things"})

    with pytest.raises(StepFailed, match=r"labels.found: .*'Things'") as caught:
        run(tmp_path, inputs, text)

    assert caught.value.code == "unknown_labels"

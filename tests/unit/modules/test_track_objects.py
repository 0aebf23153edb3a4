"""Objects followed over time, as a pipeline does it."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import tifffile

from gpu_workers.imaging.filters import gaussian
from gpu_workers.imaging.labels import filter_by_area
from gpu_workers.imaging.thresholds import otsu
from gpu_workers.modules.module import Past, Setting
from gpu_workers.modules.objects.separate import SeparateArguments, separate
from gpu_workers.modules.objects.track_objects import TrackObjectsArguments, track_objects
from gpu_workers.pipelines.prepared import Images, prepare
from gpu_workers.pipelines.text import read_pipeline
from tests.data_sets import data_set
from tests.unit.imaging.test_tracking import discs


def follow(
    movie: list[np.ndarray], arguments: TrackObjectsArguments, setting: Setting
) -> list[dict[str, object]]:
    made: list[dict[str, object]] = []
    before = None
    for labels in movie:
        made.append(track_objects(arguments, {"labels": labels}, setting, before))
        before = Past({"labels": labels}, made[-1])
    return made


def test_labels_are_numbers_of_tracks_and_have_features() -> None:
    movie = [discs({9: (30, 30 + 4 * t), 2: (80, 80)}) for t in range(3)]

    made = follow(movie, TrackObjectsArguments(), Setting({}, 0.5))

    columns = made[2]["features"].columns  # type: ignore[attr-defined]
    moving = int(made[2]["tracked"][30, 38])  # type: ignore[index]
    still = int(made[0]["tracked"][80, 80])  # type: ignore[index]
    assert sorted([moving, still]) == [1, 2]
    assert columns["Track_number"].tolist() == [1, 2]
    assert columns["Track_age"].tolist() == [2, 2]
    assert np.isnan(columns["Track_parent"]).all()
    assert columns["Track_dx"][moving - 1] == pytest.approx(4)
    assert columns["Track_displacement_um"][moving - 1] == pytest.approx(2)
    assert columns["Track_displacement"][still - 1] == 0
    first = made[0]["features"].columns  # type: ignore[attr-defined]
    assert np.isnan(first["Track_displacement"]).all()
    assert made[2]["features"].units["Track_dx_um"] == "µm"  # type: ignore[attr-defined]


@pytest.mark.parametrize("shape", [(0, 4), (1, 1), (5, 5)])
def test_nothing_to_follow(shape: tuple[int, int]) -> None:
    none = np.zeros(shape, np.int32)

    made = follow([none, none], TrackObjectsArguments(), Setting())

    assert not made[1]["tracked"].any()  # type: ignore[attr-defined]
    assert {c.size for c in made[1]["features"].columns.values()} == {0}  # type: ignore[attr-defined]


def test_a_pipeline_hands_on_what_tracks_need() -> None:
    pipeline = read_pipeline(
        """
        version: 1
        channels: {dna: DAPI}
        modules:
          - {module: threshold_manual, inputs: {image: dna}, outputs: {mask: mask}, arguments: {threshold: 50}}
          - {module: separate, inputs: {mask: mask}, outputs: {labels: found}, arguments: {method: none}}
          - {module: track_objects, inputs: {labels: found}, outputs: {tracked: nuclei, memory: memory}}
        objects:
          - {name: Nuclei, labels: nuclei}
        """
    )
    prepared, memory, made = prepare(pipeline, ("DAPI",)), None, []

    for t in range(4):
        # the first object in the order of rows changes; one is gone for a time point
        places = {1: (30 + 8 * t, 30), 2: (60 - 8 * t, 80), 3: (100, 60)}
        if t == 1:
            del places[3]
        image = np.where(discs(places) > 0, 200, 0).astype(np.uint16)
        outcome = prepared.process(Images({"DAPI": image}, image.shape), memory)
        memory = outcome.memory
        made.append(outcome.objects["Nuclei"])

    assert prepared.remembers
    for t in (0, 1, 2, 3):
        labels = made[t].labels
        assert labels[30 + 8 * t, 30] == made[0].labels[30, 30]
        assert labels[60 - 8 * t, 80] == made[0].labels[60, 80]
        assert labels[100, 60] == (0 if t == 1 else made[0].labels[100, 60])
    np.testing.assert_array_equal(made[3].columns["Track_age"], 3)


@pytest.mark.data
def test_dividing_nuclei_are_followed_over_thirty_time_points() -> None:
    files = sorted(data_set("timelapse_mitocheck_h2b").glob("*.tif"))
    movie = []
    for file in files:
        soft = gaussian(tifffile.imread(file), 1.0)
        labels = separate(SeparateArguments(min_distance=5), {"mask": soft > otsu(soft)})["labels"]
        movie.append(filter_by_area(labels, 30))

    made = follow(movie, TrackObjectsArguments(), Setting())

    lengths: Counter[int] = Counter()
    parents: dict[int, float] = {}
    for labels, one in zip(movie, made, strict=True):
        tracked = one["tracked"]
        np.testing.assert_array_equal(tracked > 0, labels > 0)  # type: ignore[operator]
        numbers = np.unique(tracked)[1:]  # type: ignore[call-overload]
        assert numbers.size == labels.max()
        lengths.update(numbers.tolist())
        parents |= dict(enumerate(one["features"].columns["Track_parent"]))  # type: ignore[attr-defined]
    # 13 nuclei at first, 19 at last; seen: 25 tracks, median 22 time points, 3 divisions
    assert 19 <= len(lengths) <= 30
    assert np.median(list(lengths.values())) >= 20
    assert 2 <= len({p for p in parents.values() if p == p}) <= 6

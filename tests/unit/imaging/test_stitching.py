"""Places of fields of view from measured distances: known places, wrong measurements, gaps."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

from gpu_workers.imaging.alignment.registration import register
from gpu_workers.imaging.alignment.stitching import neighbours, solve_positions
from gpu_workers.imaging.illumination.correction import LogMoments, correct, statistics
from tests.data_sets import data_set, unpacked

SIDE, STEP = 512, 460


def grid(rows: int, columns: int) -> np.ndarray:
    return np.stack(np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij"), -1).reshape(
        -1, 2
    ) * float(STEP)


def pairs_of(nominal: np.ndarray) -> np.ndarray:
    boxes = np.hstack([nominal, np.full_like(nominal, SIDE)]).astype(int)
    return neighbours(boxes, np.zeros(len(nominal), int))


def stage(nominal: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return true places: the stage is turned by a degree, 0.2 % too long, and jitters by 3 px."""
    angle = np.radians(1)
    turn = 1.002 * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return nominal @ turn.T + rng.normal(0, 3, nominal.shape)


def off(found: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return how far places are from the truth, apart from where the whole lies."""
    difference = found - truth
    return np.hypot(*(difference - np.median(difference, axis=0)).T)


def test_neighbours_share_a_side_and_a_well() -> None:
    nominal = np.vstack([grid(2, 3), grid(2, 3) + 200])
    boxes = np.hstack([nominal, np.full_like(nominal, SIDE)]).astype(int)
    wells = np.repeat([0, 1], 6)

    found = neighbours(boxes, wells)

    one = [(0, 1), (0, 3), (1, 2), (1, 4), (2, 5), (3, 4), (4, 5)]
    assert [tuple(p) for p in found.tolist()] == [*one, *((a + 6, b + 6) for a, b in one)]


@pytest.mark.parametrize("n", [0, 1])
def test_a_lone_field_has_no_neighbour(n: int) -> None:
    assert neighbours(np.full((n, 4), 10), np.zeros(n, int)).shape == (0, 2)


def test_edge_to_edge_there_is_nothing_to_compare() -> None:
    boxes = np.array([[0, 0, 100, 100], [0, 100, 100, 100], [0, 190, 100, 100]])

    assert len(neighbours(boxes, np.zeros(3, int))) == 0


@pytest.mark.parametrize("seed", range(6))
def test_places_are_found_though_many_distances_are_wrong(seed: int) -> None:
    rng = np.random.default_rng(seed)
    nominal = grid(6, 9)
    truth, pairs = stage(nominal, rng), pairs_of(nominal)
    measured = truth[pairs[:, 1]] - truth[pairs[:, 0]] + rng.normal(0, 0.1, (len(pairs), 2))
    wrong = rng.random(len(pairs)) < 0.12
    errors = rng.uniform(15, 60, (wrong.sum(), 2)) * rng.choice([-1, 1], (wrong.sum(), 2))
    measured[wrong] += errors
    confidence = rng.uniform(0.3, 1, len(pairs))
    confidence[rng.random(len(pairs)) < 0.1] = 0

    found = solve_positions(nominal, pairs, measured, confidence)

    assert not (found.used & wrong).any()
    assert (found.used | wrong | (confidence == 0)).all()
    assert np.isnan(found.residual[confidence == 0]).all()
    assert np.median(off(found.positions, truth)) < 0.2
    # A corner that hangs on one distance or none is where the tilt says, as far as jitter allows.
    assert np.quantile(off(found.positions, truth), 0.85) < 0.6
    assert off(found.positions, truth).max() < 15
    # Jitter of 3 px on steps of 460 px is 0.009 each; medians of some forty.
    np.testing.assert_allclose(found.tilt, [[0.0018, 0.0175], [-0.0175, 0.0018]], atol=5e-3)


def test_equal_input_gives_equal_places() -> None:
    rng = np.random.default_rng(5)
    nominal = grid(4, 4)
    pairs = pairs_of(nominal)
    truth = stage(nominal, rng)
    measured = truth[pairs[:, 1]] - truth[pairs[:, 0]]

    runs = [solve_positions(nominal, pairs, measured, np.ones(len(pairs))) for _ in range(2)]

    np.testing.assert_array_equal(runs[0].positions, runs[1].positions)


def test_fields_without_a_measurement_follow_the_tilt_and_lone_ones_stay() -> None:
    nominal = np.vstack([grid(3, 3), [[5000.0, 5000.0]]])
    pairs = pairs_of(nominal)
    truth = nominal @ np.array([[1, 0.02], [-0.02, 1]]).T
    measured = truth[pairs[:, 1]] - truth[pairs[:, 0]]
    confidence = np.where((pairs == 8).any(axis=1), 0.0, 1.0)

    found = solve_positions(nominal, pairs, measured, confidence)

    assert off(found.positions[:9], truth[:9]).max() < 0.05
    np.testing.assert_allclose(found.positions[9], nominal[9], atol=1e-6)
    # As a whole the nine stay where they were.
    np.testing.assert_allclose(found.positions[:9].mean(0), nominal[:9].mean(0), atol=1e-3)


def test_without_any_measurement_everything_stays() -> None:
    nominal = grid(2, 2)
    pairs = pairs_of(nominal)

    found = solve_positions(nominal, pairs, np.full((len(pairs), 2), np.nan), np.zeros(len(pairs)))

    np.testing.assert_array_equal(found.positions, nominal)
    assert not found.used.any()


def test_a_single_row_says_nothing_of_the_other_direction() -> None:
    nominal = grid(1, 5)
    pairs = pairs_of(nominal)
    measured = np.tile([3.0, 455.0], (len(pairs), 1))

    found = solve_positions(nominal, pairs, measured, np.ones(len(pairs)))

    np.testing.assert_allclose(np.diff(found.positions, axis=0), measured, atol=1e-3)
    np.testing.assert_allclose(found.tilt[:, 0], 0, atol=1e-9)


def test_tiles_of_a_brain_section(tmp_path_factory: pytest.TempPathFactory) -> None:
    nominal, images = brain_tiles(tmp_path_factory)
    pairs = pairs_of(nominal)
    between = (nominal[pairs[:, 1]] - nominal[pairs[:, 0]]).astype(int)

    found = [
        register(images[a], images[b], reach=30, expected=(int(d[0]), int(d[1])))
        for (a, b), d in zip(pairs, between, strict=True)
    ]
    measured = np.array([(s.y, s.x) for s in found])
    stitched = solve_positions(nominal, pairs, measured, np.array([s.confidence for s in found]))

    # 93 neighbours of 54 tiles; those on bare glass share nothing but noise.
    assert len(pairs) == 93
    assert stitched.used.sum() >= 80
    assert np.median(stitched.residual[stitched.used]) < 0.2
    # The stage is turned by about 1 degree: 8 px down for each step to the right, 8 px left for each down.
    assert np.degrees(stitched.tilt[0, 1]) == pytest.approx(0.95, abs=0.05)
    assert np.degrees(-stitched.tilt[1, 0]) == pytest.approx(0.95, abs=0.05)
    step = np.diff(stitched.positions.reshape(6, 9, 2), axis=1)
    assert np.abs(step - [8, 461]).max() < 2.5


def brain_tiles(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return nominal places and corrected images of the tiles that the nominal grid lists."""
    names, places = [], []
    text = (data_set("wsi_brain_tiles") / "TileConfiguration.txt").read_text()
    for line in text.splitlines():
        if line.startswith("C3-"):
            name, _, place = line.split(";")
            x, y = place.strip(" ()").split(",")
            names.append(name)
            places.append((float(y), float(x)))
    folder = next(unpacked("wsi_brain_tiles", tmp_path_factory).rglob(names[0])).parent
    images = {path.name: tifffile.imread(path) for path in sorted(folder.glob("*.tif"))}
    moments = LogMoments.empty((SIDE, SIDE))
    for image in images.values():
        moments.update(image)
    lamp = statistics(moments, 20.0)
    return np.array(places), [correct(images[n], lamp, method="flat") for n in names]

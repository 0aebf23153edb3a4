"""Shifts of a plate's fields: a known movement, fields that are wrong, empty or alone."""

from __future__ import annotations

import numpy as np
import pytest

from gpu_workers.imaging.alignment.agreement import agree, fit_rigid

RULES = {"least_confidence": 0.1, "tolerance": 3.0}


def plate(rows: int = 6, columns: int = 8) -> np.ndarray:
    place = np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij")
    return 1000.0 * np.stack(place, -1).reshape(-1, 2)


def turned(places: np.ndarray, y: float, x: float, degrees: float) -> np.ndarray:
    """Return how points move when the plate is turned about its middle as seen, and shifted."""
    angle = np.radians(degrees)
    away = places - places.mean(0)
    # As seen, y down: counter-clockwise takes what is right of the middle up.
    new_y = np.cos(angle) * away[:, 0] - np.sin(angle) * away[:, 1]
    new_x = np.sin(angle) * away[:, 0] + np.cos(angle) * away[:, 1]
    return np.stack([new_y, new_x], 1) - away + [y, x]


def test_a_turned_plate_is_told() -> None:
    places = plate()
    rng = np.random.default_rng(0)
    shifts = turned(places, 12, -7, 0.1) + rng.normal(0, 0.2, places.shape)

    found = fit_rigid(places, shifts, np.ones(len(places)))

    assert (found.y, found.x) == pytest.approx((12, -7), abs=0.15)
    # 0.2 px over some thousands.
    assert np.degrees(found.rotation) == pytest.approx(0.1, abs=0.003)
    assert found.residual_px == pytest.approx(0.2 * np.sqrt(2), rel=0.25)
    np.testing.assert_allclose(found.at(places), turned(places, 12, -7, 0.1), atol=0.2)


@pytest.mark.parametrize("seed", range(3))
def test_wrong_and_empty_fields_follow_their_neighbours(seed: int) -> None:
    rng = np.random.default_rng(seed)
    places = plate()
    truth = turned(places, 12, -7, 0.05)
    shifts = truth + rng.normal(0, 0.3, truth.shape)
    wrong = rng.choice(len(places), 8, replace=False)
    shifts[wrong[:5]] += rng.choice([-1, 1], (5, 2)) * rng.uniform(15, 200, (5, 2))
    confidence = rng.uniform(0.2, 1, len(places))
    confidence[wrong[5:]] = 0
    shifts[wrong[7]] = np.nan

    found = agree(places, shifts, confidence, **RULES)

    assert set(np.flatnonzero(found.outlier)) == set(wrong)
    assert np.abs(found.shifts - truth)[wrong].max() < 0.6
    kept = ~found.outlier
    np.testing.assert_array_equal(found.shifts[kept], shifts[kept])


def test_fields_that_truly_differ_a_little_keep_their_own_shift() -> None:
    rng = np.random.default_rng(4)
    places = plate()
    shifts = rng.normal((30, 5), 4, places.shape)  # a stage that misses by 4 px

    found = agree(places, shifts, np.ones(len(places)), **RULES)

    assert not found.outlier.any()
    np.testing.assert_array_equal(found.shifts, shifts)


@pytest.mark.parametrize("n", [1, 2])
def test_with_one_or_two_nobody_can_be_judged(n: int) -> None:
    shifts = np.array([[3.0, 4.0], [-90.0, 80.0]])[:n]

    found = agree(plate()[:n], shifts, np.ones(n), **RULES)

    np.testing.assert_array_equal(found.shifts, shifts)
    assert not found.outlier.any()
    assert found.model is not None
    assert found.model.rotation == 0


def test_a_field_among_unbelievable_ones_leads_them() -> None:
    shifts = np.full((4, 2), np.nan)
    shifts[1] = [3, 4]

    found = agree(plate(2, 2), shifts, np.array([0, 0.8, 0, 0.05]), **RULES)

    np.testing.assert_allclose(found.shifts, np.tile([3, 4], (4, 1)))
    assert found.outlier.tolist() == [True, False, True, True]


def test_where_nothing_is_believed_nothing_moves() -> None:
    found = agree(plate(2, 2), np.full((4, 2), 7.0), np.zeros(4), **RULES)

    assert not found.shifts.any()
    assert found.outlier.all()
    assert found.model is None


def test_fields_at_one_place_have_no_rotation() -> None:
    shifts = np.array([[1.0, 2.0], [1.2, 2], [1, 2.2], [1.1, 2.1], [1, 2]])

    found = fit_rigid(np.zeros((5, 2)), shifts, np.ones(5))

    assert found.rotation == 0
    assert (found.y, found.x) == pytest.approx((1.06, 2.06), abs=0.1)


def test_no_field_at_all() -> None:
    found = agree(np.empty((0, 2)), np.empty((0, 2)), np.empty(0), **RULES)

    assert len(found.shifts) == 0

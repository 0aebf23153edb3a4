"""Colocalisation against CellProfiler's values of a written-down case, SciPy, and its definitions."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from gpu_workers.imaging.features.colocalisation import COLUMNS, colocalisation
from gpu_workers.imaging.features.costes import costes_thresholds

# cp_measure 0.3.0 on `case()`, six objects; Slope and K hang on the unit of the second channel
CELLPROFILER = {
    "Pearson": [0.337227585, 0.847707953, 0.930587429, 0.400190392, 0.822160884, 0.909277824],
    "Slope": [0.120721331, 0.530795091, 0.761035044, 0.144657018, 0.479849188, 0.719430877],
    "Overlap": [0.910845857, 0.964906995, 0.985513215, 0.897327069, 0.965637618, 0.979296027],
    "K-1": [0.357534779, 0.66971161, 0.958385411, 0.331958857, 0.645838991, 0.941024438],
    "K-2": [2.32044608, 1.39021856, 1.01340889, 2.42558935, 1.4437902, 1.01912413],
    "Manders-1": [0.931591917, 0.996647561, 1.0, 0.917162149, 0.989037037, 1.0],
    "Manders-2": [0.893381468, 0.973122294, 0.95929309, 0.889917968, 0.960288298, 0.936907173],
    "RWC-1": [0.649003566, 0.862960118, 0.92022781, 0.625812261, 0.825439326, 0.899452457],
    "RWC-2": [0.680778651, 0.849188142, 0.883029686, 0.658309936, 0.818050366, 0.840488397],
    "Costes-1": [0.536072144, 0.986833723, 0.992346939, 0.652160251, 0.969133982, 0.992721165],
    "Costes-2": [0.530220775, 0.99490713, 0.978134403, 0.596442688, 0.974059663, 0.967852408],
}
IN_16_BIT = {
    "Costes-1": [0.536072144, 0.984221116, 0.990628502, 0.652160251, 0.977766895, 0.995968645],
    "Costes-2": [0.491116326, 0.99490713, 0.978134403, 0.596442688, 0.981563527, 0.975585506],
}


def case() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return labels of six squares and two channels that go together more and more to the right."""
    rng = np.random.default_rng(5)
    y, x = np.indices((24, 36))
    labels = np.where((y % 12 < 10) & (x % 12 < 10), 1 + x // 12 + 3 * (y // 12), 0)
    first = rng.integers(0, 200, labels.shape)
    second = np.clip(first * (x / 40) + rng.integers(0, 60, labels.shape), 0, 255).astype(np.int64)
    return labels.astype(np.int32), first, second


def test_values_of_cellprofiler() -> None:
    labels, first, second = case()

    found = colocalisation(labels, first.astype(np.uint8), second.astype(np.uint8))

    assert list(found) == list(CELLPROFILER)
    for name, expected in CELLPROFILER.items():
        np.testing.assert_allclose(found[name], expected, rtol=1e-8, err_msg=name)


def test_values_of_cellprofiler_in_16_bit() -> None:
    labels, first, second = case()

    found = colocalisation(
        labels, (first * 257).astype(np.uint16), (second * 129).astype(np.uint16)
    )

    for name, expected in (CELLPROFILER | IN_16_BIT).items():
        unit = {"Slope": 129 / 257, "K-1": 129 / 257, "K-2": 257 / 129}.get(name, 1)
        np.testing.assert_allclose(found[name], np.array(expected) * unit, rtol=1e-8, err_msg=name)


def test_correlation_is_that_of_scipy() -> None:
    labels, first, second = case()

    found = colocalisation(labels, first, second, ("correlation",))

    for k in range(6):
        a, b = first[labels == k + 1], second[labels == k + 1]
        line = stats.linregress(a, b)
        np.testing.assert_allclose(found["Pearson"][k], line.rvalue, rtol=1e-12)
        np.testing.assert_allclose(found["Slope"][k], line.slope, rtol=1e-12)


def test_equal_channels_go_together_wholly() -> None:
    labels, first, _ = case()

    found = colocalisation(labels, first, first)

    for name in ("Pearson", "Slope", "Overlap", "K-1", "K-2", "Manders-1", "Manders-2"):
        np.testing.assert_allclose(found[name], 1, rtol=1e-12)
    np.testing.assert_allclose(found["RWC-1"], 1, rtol=1e-12)


def test_exchanged_channels_exchange_their_columns() -> None:
    labels, first, second = case()

    one = colocalisation(labels, first, second, ("overlap", "manders", "rwc"))
    other = colocalisation(labels, second, first, ("overlap", "manders", "rwc"))

    for kind in ("K", "Manders", "RWC"):
        np.testing.assert_allclose(one[f"{kind}-1"], other[f"{kind}-2"], rtol=1e-12)
    np.testing.assert_allclose(one["Overlap"], other["Overlap"], rtol=1e-12)


def test_the_threshold_is_where_what_lies_below_stops_going_together() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.uniform(0, 0.3, (2, 3000))
    signal = rng.uniform(0, 0.6, 1000)
    a[:1000] += signal
    b[:1000] += signal
    slope = np.linalg.eigh(np.cov(a, b))[1][:, 1]
    slope = slope[1] / slope[0]
    candidates = np.arange(1, 256) / 255
    correlations = []
    for limit in candidates:
        is_below = (a < limit) | (b < slope * (limit - a.mean()) + b.mean())
        correlations.append(
            stats.pearsonr(a[is_below], b[is_below])[0] if is_below.sum() > 2 else -1
        )
    last = candidates[np.flatnonzero(np.array(correlations) < 0)[-1]]

    limit, other = costes_thresholds(a, b, 255)

    # two steps: the search ends one below the last candidate that still goes together
    assert abs(limit - last) <= 2 / 255
    assert other == pytest.approx(slope * (limit - a.mean()) + b.mean(), rel=1e-9)


def test_what_cannot_be_known_is_missing() -> None:
    labels = np.zeros((5, 40), np.int32)
    labels[:, :5], labels[:, 10:15], labels[0, 20], labels[:, 30:35] = 1, 2, 4, 5
    first = np.random.default_rng(0).random(labels.shape)
    second = first.copy()
    second[labels == 1] = 0.5
    second[0, 10] = np.nan
    first[labels == 5] = 0

    found = colocalisation(labels, first, second)

    assert set(found) == {name for names in COLUMNS.values() for name in names}
    nan = {name: np.isnan(values) for name, values in found.items()}
    # flat, NaN, missing, one pixel, dark
    np.testing.assert_array_equal(nan["Pearson"], [True, True, True, True, True])
    np.testing.assert_array_equal(nan["Slope"], [False, True, True, True, True])
    np.testing.assert_array_equal(nan["Overlap"], [False, True, True, False, True])
    np.testing.assert_array_equal(nan["Manders-1"], [False, True, True, False, True])
    np.testing.assert_array_equal(nan["Costes-1"], [True, True, True, True, True])


def test_objects_in_space_are_their_pixels() -> None:
    labels, first, second = case()
    volume = [np.stack([image[:12], image[12:]]) for image in (labels, first, second)]

    flat = colocalisation(labels, first, second)
    found = colocalisation(*volume)

    for name, values in flat.items():
        np.testing.assert_array_equal(found[name], values)

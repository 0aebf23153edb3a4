"""Textures, spectra and radial distributions against mahotas' and CellProfiler's values of real nuclei."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gpu_workers.imaging.features import granularity as granular
from gpu_workers.imaging.features import haralick as texture
from gpu_workers.imaging.features import lbp, radial, radial_zernike, tas
from tests.unit.features.peers import assert_equal, peer_images, peer_values

pytestmark = pytest.mark.data


def named(kind: str, columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {f"{kind}_{name}": values for name, values in columns.items()}


def test_haralick_is_that_of_mahotas() -> None:
    compared: set[str] = set()

    for name, (image, labels) in peer_images().items():
        found = texture.haralick(labels, image, (1,), ("mean", "directions"))
        compared |= set(assert_equal(named("Texture", found), texture.DESCRIPTIONS, name))

    assert len(compared) == 13 * 5


def test_haralick_by_direction_is_that_of_cellprofiler() -> None:
    theirs = [
        replace(d, peers={k: v for k, v in d.peers.items() if k == "cp_measure"})
        for d in texture.DESCRIPTIONS
    ]
    compared: set[str] = set()

    for name, (image, labels) in peer_images().items():
        found = texture.haralick(labels, image / 255, (3,), ("directions",))
        compared |= set(assert_equal(named("Texture", found), theirs, name))

    assert len(compared) == 13 * 4


def test_local_binary_patterns_are_those_of_mahotas() -> None:
    compared: set[str] = set()

    for name, (image, labels) in peer_images().items():
        found = lbp.local_binary_patterns(labels, image, (1,))
        compared |= set(assert_equal(named("Texture", found), lbp.DESCRIPTIONS, name))

    assert len(compared) == 36


def test_threshold_adjacency_is_that_of_mahotas() -> None:
    for name, (image, labels) in peer_images().items():
        found = tas.threshold_adjacency(labels, image, threshold=30, margin=30)
        for i, values in enumerate(found.values()):
            expected = peer_values("mahotas")[name][f"tas_{i:02d}"]
            # nine digits are in the file
            np.testing.assert_allclose(values, expected, rtol=1e-8, atol=1e-9)

    assert len(found) == 54


def test_granular_spectra_are_those_of_cellprofiler() -> None:
    compared: set[str] = set()

    for name, (image, labels) in peer_images().items():
        found = granular.granularity(labels, image)
        compared |= set(assert_equal(named("Granularity", found), granular.DESCRIPTIONS, name))

    assert len(compared) == 16


def test_radial_distributions_are_those_of_cellprofiler() -> None:
    compared: set[str] = set()

    for name, (image, labels) in peer_images().items():
        found = radial.radial_distribution(labels, image)
        compared |= set(assert_equal(named("RadialDistribution", found), radial.DESCRIPTIONS, name))

    assert len(compared) == 12


def test_zernike_moments_of_intensities_are_those_of_cellprofiler() -> None:
    compared: set[str] = set()

    for name, (image, labels) in peer_images().items():
        found = named("RadialDistribution", radial_zernike.radial_zernike(labels, image / 255))
        compared |= set(assert_equal(found, radial_zernike.DESCRIPTIONS, name))

    assert len(compared) == 60

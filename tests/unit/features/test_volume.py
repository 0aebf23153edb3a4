"""Objects in space against scikit-image, spheres and ellipsoids; height maps against planes."""

from __future__ import annotations

import numpy as np
import pytest
import skimage.measure
from scipy import ndimage

from gpu_workers.errors import UserError
from gpu_workers.imaging.features.volume import DESCRIPTIONS, volume_features
from gpu_workers.modules.measure.measure_intensity import measure_intensity
from gpu_workers.modules.measure.measure_morphology import measure_morphology
from gpu_workers.modules.module import Setting


@pytest.fixture(scope="module")
def labels() -> np.ndarray:
    field = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(20, 40, 50)), 1.7)
    found = ndimage.label(field > 0.4 * field.std(), np.ones((3, 3, 3)))[0]
    return np.where(found > 0, 2 * found, 0).astype(np.int32)


@pytest.mark.parametrize("z_scale", [1.0, 2.3])
def test_values_of_scikit_image(labels: np.ndarray, z_scale: float) -> None:
    shared = {
        d.name.removeprefix("Morphology_"): column
        for d in DESCRIPTIONS
        if (column := d.peers.get("scikit-image"))
    }
    wanted = {c.rpartition("-")[0] if c.startswith(("centroid", "bbox")) else c
              for c in shared.values()}  # fmt: skip
    expected = skimage.measure.regionprops_table(
        labels, spacing=(z_scale, 1, 1), properties=("label", *sorted(wanted))
    )

    found = volume_features(labels, z_scale)

    rows = expected["label"] - 1
    for name, column in shared.items():
        theirs = expected[column] / (z_scale if name == "Local_Centroid_z" else 1)
        # the axes of flat objects are roots of differences: 1e-7 near 0
        np.testing.assert_allclose(found[name][rows], theirs, rtol=1e-9, atol=1e-7, err_msg=name)
    assert (found["Voxel_Count"][::2] == 0).all()
    assert np.isnan(found["Surface_Area"][::2]).all()
    assert len(shared) == 17


@pytest.mark.parametrize(("radius", "z_scale"), [(10, 1), (20, 1), (20, 2), (28, 4)])
def test_surfaces_of_spheres(radius: int, z_scale: int) -> None:
    z, y, x = np.mgrid[-30:31, -30:31, -30:31]
    ball = ((z_scale * z) ** 2 + y**2 + x**2 <= radius**2).astype(np.int32)

    found = volume_features(ball, z_scale)

    # directions are 13 of all, the grid is coarse: 2 % of the surface of a smooth sphere
    assert found["Surface_Area"][0] == pytest.approx(4 * np.pi * radius**2, rel=0.02)
    assert found["Sphericity"][0] == pytest.approx(1, abs=0.025)
    assert found["Major_Axis_Length"][0] == pytest.approx(2 * radius, rel=0.02)
    assert found["Euler_Number"][0] == 1


def test_hollows_and_tunnels_are_counted() -> None:
    labels = np.zeros((9, 9, 9), np.int32)
    labels[1:8, 1:8, 1:8] = 1
    labels[4, 4, 4] = 2
    ring = labels.copy()
    ring[:, 4, 4] = 0

    assert volume_features(labels)["Euler_Number"].tolist() == [2, 1]
    assert volume_features(ring)["Euler_Number"].tolist() == [0]


def test_turning_in_the_plane_changes_no_shape(labels: np.ndarray) -> None:
    before = volume_features(labels, 2.3)
    after = volume_features(np.rot90(labels, axes=(1, 2)), 2.3)

    for name, values in before.items():
        if not name.startswith(("Local", "Bounding")):
            np.testing.assert_allclose(after[name], values, rtol=1e-9, atol=1e-9, err_msg=name)


def test_modules_measure_space_in_micrometres(labels: np.ndarray) -> None:
    setting = Setting(pixel_size_um=0.5, z_step_um=1.0)
    images = {"extract_objects": labels}

    shape = measure_morphology(measure_morphology.Arguments(), images, setting)["measurements"]
    image = np.random.default_rng(1).normal(100, 9, labels.shape)
    channels = {**images, "intensity_image": {"A": image, "B": None}}
    bright = measure_intensity(measure_intensity.Arguments(), channels, setting)["measurements"]

    voxels = shape.columns["Morphology_Voxel_Count"]
    np.testing.assert_allclose(shape.columns["Morphology_Volume_um3"], voxels * 0.25)
    assert shape.units["Morphology_Volume_um3"] == "µm³"
    assert shape.units["Morphology_Surface_Area_um2"] == "µm²"
    displaced = bright.columns["Intensity_mass-displacement_A"]
    np.testing.assert_allclose(bright.columns["Intensity_mass-displacement_um_A"], displaced / 2)
    assert np.isnan(bright.columns["Intensity_mean_B"]).all()
    plain = measure_morphology(measure_morphology.Arguments(), images, Setting(pixel_size_um=0.5))
    assert not any(n.endswith(("_um", "_um2")) for n in plain["measurements"].columns)
    with pytest.raises(UserError, match="two dimensions"):
        measure_morphology(measure_morphology.Arguments(measure_zernike=True), images, setting)


@pytest.mark.parametrize("shape", [(0, 4, 5), (3, 4, 5)])
def test_nothing_in_space(shape: tuple[int, ...]) -> None:
    assert all(v.shape == (0,) for v in volume_features(np.zeros(shape, np.int32)).values())

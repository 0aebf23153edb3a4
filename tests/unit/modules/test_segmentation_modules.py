"""Modules that find objects: what each argument does, on images with a known answer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gpu_workers import registry
from gpu_workers.errors import UserError
from gpu_workers.imaging.global_thresholds import multi_otsu
from gpu_workers.imaging.labels import expand_labels
from gpu_workers.modules.module import Module


def run(name: str, images: dict[str, Any], **arguments: Any) -> Any:
    module: Module = registry.load("modules", name)
    outputs = module(module.Arguments(**arguments), images)
    return next(iter(outputs.values()))


def discs(*centres: tuple[int, int], radius: int = 8) -> np.ndarray:
    y, x = np.indices((70, 100))
    return np.any([(y - a) ** 2 + (x - b) ** 2 <= radius**2 for a, b in centres], axis=0)


def nuclei() -> np.ndarray:
    labels = np.zeros((70, 100), np.int32)
    labels[discs((35, 25))], labels[discs((35, 70))] = 4, 2
    return labels


def cells(light: int = 200) -> np.ndarray:
    """Two cells 20 px in radius that touch, on noise around 20, and one without a nucleus."""
    noise = np.random.default_rng(0).integers(15, 26, (70, 100)).astype(np.uint8)
    noise[discs((35, 25), (35, 70), radius=20)] += np.uint8(light - 20)
    noise[60:68, 44:50] = light
    return noise


def three_levels() -> np.ndarray:
    rng = np.random.default_rng(1)
    return np.concatenate([rng.normal(m, 5, (20, 50)) for m in (40, 110, 200)]).astype(np.float32)


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ({"method": "multi_otsu", "foreground_classes": 1}, 1 / 3),
        ({"method": "multi_otsu", "foreground_classes": 2}, 2 / 3),
        ({"method": "otsu", "min_threshold": 300}, 0),
        ({"method": "minimum_cross_entropy", "max_threshold": 0}, 1),
        ({"method": "otsu", "correction_factor": 0.1}, 1),
    ],
)
def test_threshold_takes_what_is_asked_for(arguments: dict[str, Any], part: float) -> None:
    assert run("threshold", {"image": three_levels()}, **arguments).mean() == pytest.approx(part)


def test_threshold_smooths_after_the_threshold_is_found() -> None:
    image = three_levels()
    image[10, 10] = 1000
    value = multi_otsu(image, 3)[1]

    plain = run("threshold", {"image": image}, method="multi_otsu")
    smooth = run("threshold", {"image": image}, method="multi_otsu", smoothing=2)

    np.testing.assert_array_equal(plain, image > value)
    assert plain[10, 10]
    assert not smooth[12:16, 10].any()


@pytest.mark.parametrize("method", ["crosscorr", "niblack", "sauvola", "bernsen"])
def test_adaptive_thresholds_find_objects_on_a_slope(method: str) -> None:
    centres = [(y, x) for y in (18, 52) for x in (20, 50, 80)]
    slope = np.linspace(0, 150, 100)[None, :]
    image = (50 + slope + 60 * discs(*centres)).astype(np.uint16)

    mask = run("threshold_adaptive", {"image": image}, method=method, kernel_size=41)

    truth = discs(*centres)
    assert mask[truth].mean() > 0.9
    # Sauvola's threshold falls below the mean where there is little contrast
    assert mask[~truth].mean() < (0.35 if method != "sauvola" else 1)


def test_adaptive_thresholds_have_limits() -> None:
    image = cells()

    none = run("threshold_adaptive", {"image": image}, min_threshold=255)
    every = run("threshold_adaptive", {"image": image}, max_threshold=0)

    assert not none.any()
    assert every.all()


def test_declumping_leaves_out_by_size_and_edge() -> None:
    mask = discs((35, 25), (35, 70)) | discs((0, 50)) | discs((60, 50), radius=2)
    image = np.where(mask, 100, 0).astype(np.uint16)

    def count(**arguments: Any) -> int:
        found = run("declump", {"mask": mask, "image": image}, min_diameter=8, **arguments)
        return int(found.max())

    assert count() == 2
    assert count(exclude_border=False) == 3
    assert count(exclude_border=False, discard_outside=False) == 4
    assert count(max_diameter=10) == 0


def test_declumping_fills_holes_of_objects() -> None:
    mask = discs((35, 25))
    mask[35, 25] = False

    filled = run("declump", {"mask": mask}, method="none", min_diameter=5)

    assert filled[35, 25] == 1
    open_ = run("declump", {"mask": mask}, method="none", min_diameter=5, fill_holes=False)
    assert open_[35, 25] == 0


@pytest.mark.parametrize("name", ["propagate", "segment_secondary"])
def test_cells_grow_around_their_nuclei_and_keep_the_numbers(name: str) -> None:
    primary, body = ("labels", "image")
    if name == "segment_secondary":
        primary, body = "primary_label_image", "intensity_image"

    grown = run(name, {primary: nuclei(), body: cells()})

    truth = discs((35, 25), (35, 70), radius=20)
    assert set(np.unique(grown)) == {0, 2, 4}
    assert (grown[nuclei() > 0] == nuclei()[nuclei() > 0]).all()
    # the edge may lie a pixel farther out or in
    assert ((grown > 0) != truth).mean() < 0.05
    assert not grown[63, 47]


def test_dark_cells_have_a_rim_and_cells_end_within_reach() -> None:
    labels = nuclei()
    dark = np.full((70, 100), 20, np.uint8)

    rim = run("propagate", {"labels": labels, "image": dark}, ring=0.25)
    near = run("propagate", {"labels": labels, "image": cells()}, reach=0.25)

    # the discs are 17 px wide and have the area of one of 15.9 px
    np.testing.assert_array_equal(rim > 0, expand_labels(labels, 0.25 * 15.9) > 0)
    assert (near[expand_labels(labels, 4) == 0] == 0).all()
    assert run("propagate", {"labels": labels, "image": dark}).sum() == labels.sum()


def test_propagation_stays_within_a_mask() -> None:
    mask = np.zeros((70, 100), bool)
    mask[30:40] = True

    grown = run("propagate", {"labels": nuclei(), "image": cells(), "mask": mask})

    np.testing.assert_array_equal(grown > 0, mask | (nuclei() > 0))


@pytest.mark.parametrize("ground", ["intensity", "inverted_intensity", "gradient", "distance"])
def test_watersheds_meet_between_the_seeds(ground: str) -> None:
    mask = discs((35, 40), (35, 58), radius=10)
    y, x = np.indices((70, 100))
    near = np.minimum((y - 35) ** 2 + (x - 40) ** 2, (y - 35) ** 2 + (x - 58) ** 2)
    image = (300 - np.minimum(near, 200)).astype(np.float32)
    seeds = np.zeros((70, 100), np.int32)
    seeds[35, 40], seeds[35, 58] = 7, 3
    given = image if ground != "intensity" else -image

    found = run(
        "watershed", {"seeds": seeds, "image": given, "mask": mask}, ground=ground, sigma=0.5
    )

    np.testing.assert_array_equal(found > 0, mask)
    if ground != "gradient":  # flat in the middle between two hills
        assert (found[:, :48][mask[:, :48]] == 7).all()
        assert (found[:, 51:][mask[:, 51:]] == 3).all()


def test_watersheds_say_what_they_need() -> None:
    with pytest.raises(UserError, match="mask"):
        run("watershed", {"seeds": nuclei()}, ground="distance")


def test_nuclei_are_bright_where_they_are_dark_in_the_section() -> None:
    mask = discs((35, 25), (35, 70))
    red, green, blue = (np.where(mask, v, 240).astype(np.uint8) for v in (90, 60, 150))

    for stain in ("darkness", "haematoxylin"):
        image = run("separate_stains", {"red": red, "green": green, "blue": blue}, stain=stain)
        assert image.dtype == np.float32
        assert image[mask].min() > 3 * image[~mask].max()


def test_primary_objects_of_a_given_size() -> None:
    image = np.where(discs((35, 25), (35, 70)), 500, 100).astype(np.uint16)

    assert run("segment_primary", {"image": image}, contrast=0).max() == 2
    assert run("segment_primary", {"image": image}, contrast=0, diameter=200).max() == 0

"""The modules of textures, spectra, radial distributions and colocalisation: names, gaps, scarce images."""

from __future__ import annotations

import numpy as np
import pytest

from gpu_workers.errors import UserError
from gpu_workers.imaging.features.haralick import HARALICK, haralick
from gpu_workers.imaging.features.tas import TAS, threshold_adjacency
from gpu_workers.imaging.thresholds import otsu
from gpu_workers.modules.measure.measure_colocalisation import measure_colocalisation
from gpu_workers.modules.measure.measure_granularity import measure_granularity
from gpu_workers.modules.measure.measure_radial_distribution import measure_radial_distribution
from gpu_workers.modules.measure.measure_texture import measure_texture
from gpu_workers.modules.module import Features, Module, Setting
from tests.unit.features.fields import smooth, touching

EVERYTHING = {"measure_TAS": True, "measure_LBP": True, "measure_haralick": True}
MODULES: list[tuple[Module, dict[str, object]]] = [
    (measure_texture, EVERYTHING),
    (measure_granularity, {}),
    (measure_radial_distribution, {"measure_zernike": True}),
    (measure_colocalisation, {}),
]
MANY = pytest.mark.parametrize(("module", "arguments"), MODULES, ids=[m.name for m, _ in MODULES])


def run(
    module: Module, labels: np.ndarray, images: dict[str, np.ndarray | None], **arguments: object
) -> Features:
    inputs = {"extract_objects": labels, "intensity_image": images}
    found = module(module.Arguments(**arguments), inputs)["measurements"]
    assert isinstance(found, Features)
    return found


@MANY
def test_a_row_for_every_label_and_nan_for_those_that_are_not_there(
    module: Module, arguments: dict[str, object]
) -> None:
    labels = touching()
    images = {"DAPI": smooth(), "GFP": smooth(seed=9)}

    found = run(module, labels, images, **arguments)

    for name, values in found.columns.items():
        assert values.shape == (labels.max(),), name
        assert np.isnan(values[1]), name
        assert not np.isnan(values).all(), name


@MANY
def test_a_missing_plane_is_missing_in_all_its_columns(
    module: Module, arguments: dict[str, object]
) -> None:
    labels = touching()
    present = {"DAPI": smooth(), "GFP": smooth(seed=9)}

    found = run(module, labels, {**present, "RFP": None}, **arguments)

    missing = [name for name in found.columns if name.endswith("_RFP")]
    assert len(missing) in (
        len(found.columns) // 3,
        len(found.columns) * 2 // 3,  # two of three pairs
    )
    assert all(np.isnan(found.columns[name]).all() for name in missing)
    for name, values in run(module, labels, present, **arguments).columns.items():
        np.testing.assert_array_equal(found.columns[name], values)


@MANY
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_images_without_objects_have_the_same_columns(
    module: Module, arguments: dict[str, object], dtype: str
) -> None:
    labels = touching()
    images = {"DAPI": smooth().astype(dtype), "GFP": smooth(seed=9).astype(dtype)}

    empty = run(module, np.zeros_like(labels), images, **arguments)

    assert list(empty.columns) == list(run(module, labels, images, **arguments).columns)
    assert {values.shape for values in empty.columns.values()} == {(0,)}


@MANY
def test_an_object_with_a_nan_pixel_is_missing(
    module: Module, arguments: dict[str, object]
) -> None:
    labels = touching()
    image = smooth().astype(np.float32)
    image[tuple(np.argwhere(labels == 3)[0])] = np.nan

    found = run(module, labels, {"DAPI": image, "GFP": smooth(seed=9)}, **arguments)

    for name, values in found.columns.items():
        if "DAPI" in name:
            assert np.isnan(values[2]), name
            assert not np.isnan(values).all(), name


@MANY
def test_images_of_nothing_but_nan_and_of_one_value(
    module: Module, arguments: dict[str, object]
) -> None:
    labels = touching()
    images = {"DAPI": np.full(labels.shape, np.nan), "GFP": np.full(labels.shape, 5.0)}

    found = run(module, labels, images, **arguments)

    assert all(np.isnan(v).all() for name, v in found.columns.items() if "DAPI" in name)


@MANY
def test_more_objects_than_sixteen_bits_count(module: Module, arguments: dict[str, object]) -> None:
    side = 2 * 257
    labels = np.zeros((side, side), np.int32)
    labels[::2, ::2] = np.arange(1, 257**2 + 1).reshape(257, 257)
    image = np.random.default_rng(0).integers(1, 200, labels.shape).astype(np.uint8)

    found = run(module, labels, {"DAPI": image, "GFP": 200 - image}, **arguments)

    values = next(iter(found.columns.values()))
    assert values.shape == (257**2,)
    assert 257**2 > 65_536


def test_texture_columns_are_those_of_the_original() -> None:
    found = run(measure_texture, touching(), {"DAPI": smooth()}, **EVERYTHING)

    plain = [name.removeprefix("Texture_").removesuffix("_DAPI") for name in found.columns]
    assert len(plain) == 3 + 7 + 54 + 108 + 26
    assert plain[:3] == ["Gabor-frequency-1", "Gabor-frequency-5", "Gabor-frequency-10"]
    assert plain[3:57] == [f"TAS-{group}-{i}" for group in TAS for i in range(9)]
    assert plain[57:64] == [f"Hu-{i}" for i in range(7)]
    assert plain[64:172] == [f"LBP-radius-{r}-{i}" for r in (1, 5, 10) for i in range(36)]
    assert plain[172:] == [f"Haralick-{name}-{scale}" for scale in (1, 2) for name in HARALICK]
    assert found.units["Texture_Gabor-frequency-1_DAPI"] == "intensity"


def test_families_are_chosen_one_by_one() -> None:
    found = run(
        measure_texture, touching(), {"DAPI": smooth()}, measure_gabor=False, measure_hu=False,
        measure_haralick=True, scales=[3], haralick_statistics=["range"],
    )  # fmt: skip

    assert list(found.columns) == [f"Texture_Haralick-{name}-3-range_DAPI" for name in HARALICK]


def test_adjacency_takes_otsus_threshold_unless_one_is_given() -> None:
    labels, image = touching(), smooth()

    own = run(measure_texture, labels, {"D": image}, measure_TAS=True)
    given = run(
        measure_texture, labels, {"D": image}, measure_TAS=True, tas_threshold=30, tas_margin=30
    )

    for columns, expected in (
        (own.columns, threshold_adjacency(labels, image, otsu(image))),
        (given.columns, threshold_adjacency(labels, image, 30, 30)),
    ):
        for name, values in expected.items():
            np.testing.assert_array_equal(columns[f"Texture_{name}_D"], values)


def test_legacy_takes_frames_and_each_objects_own_gray_levels() -> None:
    labels, image = touching(), smooth()

    found = run(measure_texture, labels, {"D": image}, legacy=True, **EVERYTHING).columns

    levels = haralick(labels, image, (2,), gray_range="object")
    np.testing.assert_array_equal(
        found["Texture_Haralick-entropy-2_D"], levels["Haralick-entropy-2"]
    )
    adjacency = threshold_adjacency(labels, image, otsu(image), padding=1)
    np.testing.assert_array_equal(found["Texture_TAS-mu-3_D"], adjacency["TAS-mu-3"])


def test_limits_of_gray_levels_in_the_wrong_order_are_told() -> None:
    with pytest.raises(UserError, match="gray_high"):
        run(
            measure_texture, touching(), {"D": smooth()}, measure_haralick=True,
            gray_low=50, gray_high=20,
        )  # fmt: skip


def test_in_space_textures_are_haralicks() -> None:
    labels, image = np.stack([touching()] * 3), np.stack([smooth(seed=i) for i in range(3)])

    found = run(measure_texture, labels, {"D": image}, measure_haralick=True).columns

    assert list(found) == [f"Texture_Haralick-{n}-{s}_D" for s in (1, 2) for n in HARALICK]
    np.testing.assert_array_equal(
        found["Texture_Haralick-contrast-1_D"], haralick(labels, image)["Haralick-contrast-1"]
    )
    for arguments in ({}, {"measure_haralick": True, "measure_LBP": True}):
        with pytest.raises(UserError) as told:
            run(measure_texture, labels, {"D": image}, **arguments)
        assert told.value.code == "plane_only"


def test_pairs_of_channels_are_all_or_those_named() -> None:
    labels = touching()
    images = {name: smooth(seed=i) for i, name in enumerate(("A", "B", "C"))}

    every = run(measure_colocalisation, labels, images, measures=["manders"])
    one = run(measure_colocalisation, labels, images, measures=["manders"], pairs=[["C", "A"]])

    assert [name.split("_", 2)[2] for name in every.columns][::2] == ["A_B", "A_C", "B_C"]
    assert list(one.columns) == ["Colocalisation_Manders-1_C_A", "Colocalisation_Manders-2_C_A"]
    np.testing.assert_allclose(
        one.columns["Colocalisation_Manders-1_C_A"], every.columns["Colocalisation_Manders-2_A_C"]
    )


def test_a_channel_that_is_not_there_is_told() -> None:
    with pytest.raises(UserError, match="no channel 'Z'") as told:
        run(measure_colocalisation, touching(), {"A": smooth()}, pairs=[["A", "Z"]])

    assert told.value.code == "unknown_channel"


def test_one_channel_has_no_pairs() -> None:
    assert not run(measure_colocalisation, touching(), {"A": smooth()}).columns


def test_rings_that_are_not_scaled_end_with_an_overflow() -> None:
    found = run(
        measure_radial_distribution, touching(), {"A": smooth()}, bins=2, scaled=False,
        maximum_radius=5,
    )  # fmt: skip

    rings = ("1of2", "2of2", "overflow")
    assert list(found.columns) == [
        f"RadialDistribution_{kind}-{ring}_A"
        for ring in rings
        for kind in ("FracAtD", "MeanFrac", "RadialCV")
    ]


def test_measurements_may_be_gathered_for_other_objects() -> None:
    labels = touching()
    parents = np.where(labels > 0, 1, 0).astype(np.int32)
    inputs = {
        "extract_objects": labels, "assign_objects": parents, "intensity_image": {"A": smooth()},
    }  # fmt: skip
    setting = Setting(names={"extract_objects": "Nuclei", "assign_objects": "Cells"})

    found = measure_granularity(
        measure_granularity.Arguments(aggregate=True, spectrum_length=1), inputs, setting
    )["measurements"]

    own = run(measure_granularity, labels, {"A": smooth()}, spectrum_length=1).columns
    np.testing.assert_allclose(
        found.columns["Mean_Nuclei_Granularity_1_A"], [np.nanmean(own["Granularity_1_A"])]
    )
    assert found.units["Mean_Nuclei_Granularity_1_A"] == "%"

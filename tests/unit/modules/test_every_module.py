"""What holds for every module there is: names of old, kinds, shapes and types; images that have little in them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from gpu_workers import registry
from gpu_workers.errors import UserError
from gpu_workers.modules.module import Features, Kind, Module, Past, Setting
from tests.unit.modules import networks

# The 32 modules of TissueMAPS before version 1: inputs, arguments, outputs (figures aside).
OF_OLD: dict[str, tuple[str, str, str]] = {
    "apply_mask": ("image mask", "plot_type", "masked_image"),
    "clip": ("image clipping_mask", "", "clipped_image"),
    "combine_channels": ("image_1 image_2", "weight_1 weight_2", "combined_image"),
    "combine_masks": ("mask_1 mask_2", "logical_operation", "combined_mask"),
    "detect_blobs": ("image mask", "threshold min_area mean_area max_area", "centroids blobs"),
    "expand_or_shrink": ("image", "n", "expanded_image"),
    "fill": ("mask", "", "filled_mask"),
    "filter": ("mask", "feature lower_threshold upper_threshold", "filtered_mask"),
    "generate_volume_image": (
        "image mask",
        "threshold bead_size superpixel_size close_surface close_disc_size",
        "volume_image",
    ),
    "identify_spots_2D": (
        "image",
        "spot_size rescale_quantiles rescale_thresholds detection_threshold deblending_steps",
        "spots spots_deblend",
    ),
    "identify_spots_3D": (
        "image",
        "log_filter_type spot_size n_planes rescale_quantiles rescale_thresholds"
        " detection_threshold",
        "occupancy_image",
    ),
    "invert": ("image", "", "inverted_image"),
    "label": ("mask", "connectivity", "label_image"),
    "measure_intensity": (
        "extract_objects assign_objects intensity_image",
        "aggregate",
        "measurements",
    ),
    "measure_morphology": (
        "extract_objects assign_objects",
        "aggregate measure_zernike",
        "measurements",
    ),
    "measure_neighbours": (
        "extract_objects assign_objects",
        "neighbour_distance touching_distance",
        "measurements",
    ),
    "measure_point_pattern": (
        "extract_objects ref_objects assign_objects",
        "aggregate",
        "measurements",
    ),
    "measure_texture": (
        "extract_objects assign_objects intensity_image",
        "aggregate frequencies measure_TAS measure_LBP radii measure_haralick scales",
        "measurements",
    ),
    "measure_volume_image": (
        "extract_objects assign_objects intensity_image",
        "pixel_size z_step",
        "measurements",
    ),
    "project": ("image", "method", "projected_image"),
    "register_objects": ("mask", "", "objects"),
    "register_objects_channel": ("mask", "", "objects"),
    "relabel": ("label_image", "", "relabeled_image"),
    "rescale": ("intensity_image", "min_value max_value", "rescaled_image"),
    "segment_secondary": (
        "primary_label_image intensity_image",
        "contrast_threshold min_threshold max_threshold",
        "secondary_label_image",
    ),
    "separate_clumps": (
        "mask intensity_image",
        "min_cut_area max_convexity max_circularity min_area max_area selection_test_mode"
        " selection_test_show_remaining trimming",
        "separated_label_image",
    ),
    "separate_primary_iterative": (
        "primary_objects intensity_image",
        "cutting_passes max_solidity min_form_factor min_area max_area min_area_cut"
        " sliding_window filter_size max_concave_radius min_concave_circular_segment",
        "separated_objects",
    ),
    "smooth": ("image", "filter_name filter_size", "smoothed_image"),
    "threshold_adaptive": (
        "image",
        "method kernel_size constant min_threshold max_threshold",
        "mask",
    ),
    "threshold_manual": ("image", "threshold", "mask"),
    "threshold_otsu": ("image", "correction_factor min_threshold max_threshold", "mask"),
    "use_label_image": ("input_image", "", "label_image"),
    # of forks
    "add_border": ("image", "border_size", "bordered_image"),
    "apply_mask_intensity": ("image mask", "value", "masked_image"),
    "convert_to_intensity": ("image", "output_type", "intensity_image"),
    "rasterize": ("objects", "", "label_image"),
}

# Of modules that have arguments without a default.
ARGUMENTS: dict[str, dict[str, Any]] = {
    "filter_objects": {"conditions": [{"feature": "Morphology_Area", "minimum": 2}]},
    "segment_cellpose": {"model": "cellpose.onnx"},
    "segment_stardist": {"model": "stardist.onnx"},
    "threshold_manual": {"threshold": 300},
}
# Of modules whose default choice is for two dimensions only.
IN_SPACE: dict[str, dict[str, Any]] = {
    "measure_texture": {"measure_haralick": True},
}
# The tiny network here takes one image.
LEFT_OUT = {"segment_stardist": ("image_2", "image_3")}
# By default they work on an image that others of their choices can do without.
NEEDS_ITS_OPTION = ("declump", "watershed")
NAMES = registry.names("modules")


def load(name: str) -> Module:
    found: Module = registry.load("modules", name)
    return found


@pytest.fixture(scope="module", autouse=True)
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let modules that run networks find tiny ones."""
    folder = tmp_path_factory.mktemp("models")
    networks.cellpose(folder / "cellpose.onnx")
    networks.stardist(folder / "stardist.onnx")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TISSUEMAPS_MODELS", str(folder))
        yield


@pytest.mark.parametrize("name", OF_OLD)
def test_modules_of_old_exist_with_their_names(name: str) -> None:
    inputs, arguments, outputs = (set(part.split()) for part in OF_OLD[name])

    module = load(name)

    assert inputs <= module.inputs.keys()
    assert arguments <= module.Arguments.model_fields.keys()
    assert outputs <= module.outputs.keys()


def test_all_32_modules_of_old_are_in_the_table() -> None:
    assert len(OF_OLD) == 32 + 4


@dataclass(frozen=True)
class Scene:
    """One site: intensities and labels; the mask is where labels are."""

    image: np.ndarray
    labels: np.ndarray


def _objects(*numbers: int, shape: tuple[int, ...] = (24, 26)) -> np.ndarray:
    """Return objects of 6 x 6 px side by side, the first two touching."""
    labels = np.zeros(shape, np.int32)
    for number, at in zip(numbers, (2, 8, 16), strict=False):
        labels[..., 9:15, at : at + 6] = number
    return labels


def _noise(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(0).integers(90, 111, shape).astype(np.uint16)


def scene(name: str, shape: tuple[int, ...]) -> Scene:
    """Return a site that has little in it, or odd things."""
    labels = np.zeros(shape, np.int32)
    image = _noise(shape)
    if name == "black":
        return Scene(np.zeros(shape, np.uint16), labels)
    if name == "background":
        return Scene(image, labels)
    if name == "one pixel":
        labels[..., 11, 12] = 1
    elif name == "one object":
        labels[...] = 1
    elif name == "single pixel image":
        labels = np.ones((*shape[:-2], 1, 1), np.int32)
        image = image[..., :1, :1]
    elif name == "high numbers":
        labels = _objects(70_001, 3, 65_536, shape=shape)
    else:
        labels = _objects(5, 2, 9, shape=shape)
    image = image + (labels > 0).astype(np.uint16) * np.uint16(900)
    if name == "missing pixels":
        image = image.astype(np.float32)
        image[..., 10, 4:9], image[..., 20, 20] = np.nan, np.nan
    return Scene(image, labels)


SCENES = (
    "black", "background", "one pixel", "one object", "single pixel image", "gaps", "high numbers",
    "missing pixels",
)  # fmt: skip


def given(module: Module, kinds: Mapping[str, Kind], site: Scene) -> dict[str, Any]:
    """Return the inputs of a module."""
    n = int(site.labels.max())
    areas = np.bincount(site.labels.ravel(), minlength=n + 1)[1:].astype(float)
    values: dict[Kind, Any] = {
        Kind.INTENSITY: site.image,
        Kind.MASK: site.labels > 0,
        Kind.LABELS: site.labels,
        Kind.STACK: np.stack([site.image, site.image // 2 if site.image.dtype.kind == "u" else site.image, site.image]),
        Kind.CHANNELS: {"A": site.image, "B": site.image[..., ::-1].copy()},
        Kind.FEATURES: Features({"Morphology_Area": np.where(areas > 0, areas, np.nan)}, {}),
    }  # fmt: skip
    handles = [h for h in module.inputs if h not in LEFT_OUT.get(module.name, ())]
    return {handle: values[kinds[handle]] for handle in handles}


def choices(module: Module) -> Iterator[dict[str, Kind]]:
    """Yield the kinds of all inputs, for each kind that those of several kinds take."""
    several = {module.alternatives[h] for h in module.inputs if h in module.alternatives}
    for chosen in itertools.product(*sorted(several)):
        kind_of = dict(zip(sorted(several), chosen, strict=True))
        yield {
            handle: kind_of[module.alternatives[handle]] if handle in module.alternatives else kind
            for handle, kind in module.inputs.items()
        }


def copied(value: Any) -> Any:
    if isinstance(value, Features):
        return Features({n: c.copy() for n, c in value.columns.items()}, dict(value.units))
    if isinstance(value, Mapping):
        return {n: copied(v) for n, v in value.items()}
    return value.copy()


def flat(value: Any) -> list[np.ndarray]:
    if isinstance(value, Features):
        return list(value.columns.values())
    return list(value.values()) if isinstance(value, Mapping) else [value]


def check_output(value: Any, kind: Kind, shape: tuple[int, ...], n_objects: int) -> None:
    if kind is Kind.FEATURES:
        assert isinstance(value, Features)
        assert set(value.units) <= set(value.columns)
        for name, column in value.columns.items():
            assert np.asarray(column).dtype.kind == "f", name
            assert np.shape(column) == (n_objects,), name
        return
    assert value.shape == shape
    if kind is Kind.MASK:
        assert value.dtype == np.bool_
    elif kind is Kind.LABELS:
        assert value.dtype == np.int32
        assert value.min(initial=0) >= 0
    else:
        assert value.dtype.kind in "uif"


CASES = [
    pytest.param(name, dimensions, scene_name, id=f"{name}-{dimensions}D-{scene_name}")
    for name in NAMES
    for dimensions in load(name).dimensions
    for scene_name in SCENES
]


@pytest.mark.parametrize(("name", "dimensions", "scene_name"), CASES)
def test_every_module_works_on_images_that_have_little_in_them(
    name: str, dimensions: int, scene_name: str
) -> None:
    module = load(name)
    more = IN_SPACE.get(name, {}) if dimensions == 3 else {}
    arguments = module.Arguments(**ARGUMENTS.get(name, {}), **more)
    site = scene(scene_name, (24, 26) if dimensions == 2 else (4, 24, 26))
    for kinds in choices(module):
        images = given(module, kinds, site)
        before = copied(images)
        setting = Setting({h: h for h in module.inputs}, 0.5, 1.0)

        outputs = module(arguments, images, setting)
        if module.remembers:
            outputs = module(arguments, images, setting, Past(before, outputs))

        assert outputs.keys() == module.outputs.keys()
        measured = {**images, **outputs}.get(module.measures, np.zeros(0, np.int32))
        for handle, kind in module.output_kinds(kinds).items():
            # what a module remembers of objects is a table in the place of an image
            is_table = module.remembers and kind is Kind.INTENSITY
            shape = outputs[handle].shape if is_table else site.image.shape
            check_output(outputs[handle], kind, shape, int(measured.max(initial=0)))
        for handle, value in before.items():
            for then, now in zip(flat(value), flat(images[handle]), strict=True):
                np.testing.assert_array_equal(then, now)


def run_with_what_is_needed(name: str) -> dict[str, Any]:
    module = load(name)
    images = given(module, next(choices(module)), scene("gaps", (24, 26)))
    needed = {h: v for h, v in images.items() if h not in module.optional}
    return module(module.Arguments(**ARGUMENTS.get(name, {})), needed)


@pytest.mark.parametrize("name", sorted(set(NAMES) - set(NEEDS_ITS_OPTION)))
def test_optional_inputs_may_be_left_out(name: str) -> None:
    assert run_with_what_is_needed(name).keys() == load(name).outputs.keys()


@pytest.mark.parametrize("name", NEEDS_ITS_OPTION)
def test_what_is_needed_after_all_is_told(name: str) -> None:
    with pytest.raises(UserError, match="needs a") as caught:
        run_with_what_is_needed(name)
    assert caught.value.code == "missing_input"

"""What we write, read back by ome-zarr-py, ngio and napari-ome-zarr.

A plate of three fields, two channels, three z planes and imported labels goes through all steps; every
peer must find its wells, images, sizes, names and the very pixels.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpu_workers.runner.execute import run_step
from gpu_workers.storage.mosaics import load_mosaic
from gpu_workers.storage.objects import load_manifest
from tests.integration.conversion.source import Converted, convert, experiment
from tests.synthetic.omezarr import write_plate

# napari's own models, while they are imported.
pytestmark = pytest.mark.filterwarnings("ignore:`json_encoders` is deprecated")

FIELDS = [("A", 1, "0", None), ("A", 1, "1", None), ("C", 2, "0", None), ("C", 2, "1", None)]
SHAPE = (1, 2, 3, 40, 52)
PATHS = {"A/01/0": "A/1/0a0", "A/01/1": "A/1/1a0", "C/02/0": "C/2/0a0", "C/02/1": "C/2/1a0"}
SCALE = [1.0, 1.0, 1.5, 0.325, 0.325]


@dataclass(frozen=True, slots=True)
class Ours:
    """What the steps made, and the pixels they were given.

    Attributes
    ----------
    pixels, labels
        By path in the plate, (t, c, z, y, x).
    """

    converted: Converted
    inputs: dict[str, str]
    pixels: dict[str, np.ndarray[Any, Any]]
    labels: dict[str, np.ndarray[Any, Any]]

    @property
    def plate(self) -> Path:
        return self.converted.root / self.converted.plates.manifest.plates[0].path

    @property
    def mosaic(self) -> Path:
        manifest = load_mosaic(self.converted.root, self.inputs["mosaic"])
        return self.converted.root / manifest.plates[0].path

    @property
    def objects(self) -> Path:
        manifest = load_manifest(self.converted.root, self.inputs["objects"])
        return self.converted.root / manifest.type("cells").plates[0].path


def _labels(seed: int) -> np.ndarray[Any, Any]:
    """Return squares, other ones in each plane."""
    labels = np.zeros((1, 1, *SHAPE[2:]), "uint32")
    for z in range(SHAPE[2]):
        top = 3 + seed + 2 * z
        labels[0, 0, z, top : top + 9, 5:17] = 1
        labels[0, 0, z, top + 12 : top + 20, 20:41] = 2
    return labels


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Ours:
    import ngio

    root = tmp_path_factory.mktemp("ours")
    written = write_plate(root / "source/a.zarr", FIELDS, "0.4", shape=SHAPE)
    labels = {}
    for seed, path in enumerate(written):
        labels[PATHS[path]] = _labels(seed)
        image = ngio.open_ome_zarr_container(root / "source/a.zarr" / path)
        image.derive_label("cells", dtype="uint32").set_array(labels[PATHS[path]][:, 0])
    description = experiment(root / "source")
    converted = convert(root, description)
    inputs = dict(converted.inputs)
    for step in ("illuminati", "jterator"):
        inputs |= run_step(root, step, description, {}, converted.inputs)[0].products
    return Ours(converted, inputs, {PATHS[p]: a for p, a in written.items()}, labels)


def _world(ours: Ours, images: dict[str, np.ndarray[Any, Any]], where: Path) -> Any:
    """Return the images of the sites put where the layout has them, in the size of a mosaic."""
    shape = json.loads((where / "0/zarr.json").read_text())["shape"]
    world = np.zeros(shape, next(iter(images.values())).dtype)
    for site in ours.converted.layout.plates[0].sites:
        at = np.s_[..., site.y : site.y + site.height, site.x : site.x + site.width]
        world[at] = images[f"{site.raw}a0"]
    return world


class TestNgio:
    def test_it_reads_the_plate(self, ours: Ours) -> None:
        import ngio

        plate = ngio.open_ome_zarr_plate(ours.plate)

        assert plate.meta.plate.name == "plate 0"
        assert plate.wells_paths() == ["A/1", "C/2"]
        assert sorted(plate.images_paths(max_workers=1)) == sorted(ours.pixels)
        assert plate.acquisition_ids == [0]

    def test_it_reads_the_images(self, ours: Ours) -> None:
        import ngio

        for path, expected in ours.pixels.items():
            container = ngio.open_ome_zarr_container(ours.plate / path)
            image = container.get_image()
            assert container.channel_labels == ["C0", "C1"]
            assert image.pixel_size.tzyx == (1.0, 1.5, 0.325, 0.325)
            np.testing.assert_array_equal(image.get_as_numpy(), expected)

    def test_it_reads_the_labels_of_the_images(self, ours: Ours) -> None:
        import ngio

        for path, expected in ours.labels.items():
            container = ngio.open_ome_zarr_container(ours.plate / path)
            assert container.list_labels() == ["cells"]
            label = container.get_label("cells")
            assert label.pixel_size.tzyx == (1.0, 1.5, 0.325, 0.325)
            np.testing.assert_array_equal(label.get_as_numpy(), expected)

    def test_it_reads_the_mosaic(self, ours: Ours) -> None:
        import ngio

        container = ngio.open_ome_zarr_container(ours.mosaic)

        image = container.get_image()
        assert container.channel_labels == ["C0", "C1"]
        assert image.pixel_size.tzyx == (1.0, 1.5, 0.325, 0.325)
        np.testing.assert_array_equal(image.get_as_numpy(), _world(ours, ours.pixels, ours.mosaic))
        sizes = [container.get_image(path=p).pixel_size.x for p in container.level_paths]
        assert sizes == [0.325 * 2**n for n in range(len(sizes))]
        assert len(sizes) > 1

    def test_it_reads_the_objects(self, ours: Ours) -> None:
        import ngio

        mosaic = ngio.open_label(ours.objects / "mosaic.zarr")
        sites = {s.index: s for s in ours.converted.layout.plates[0].sites}

        assert mosaic.pixel_size.tzyx == (1.0, 1.5, 0.325, 0.325)
        shown = _world(ours, ours.labels, ours.objects / "mosaic.zarr") > 0
        np.testing.assert_array_equal(mosaic.get_as_numpy() > 0, shown)
        for index, site in sites.items():
            label = ngio.open_label(ours.objects / f"sites.zarr/{index}")
            assert label.pixel_size.tzyx == (1.0, 1.5, 0.325, 0.325)
            np.testing.assert_array_equal(label.get_as_numpy(), ours.labels[f"{site.raw}a0"])


def _nodes(path: Path) -> Iterator[Any]:
    from ome_zarr.io import parse_url  # type: ignore[import-untyped]
    from ome_zarr.reader import Reader  # type: ignore[import-untyped]

    location = parse_url(path)
    assert location is not None
    yield from Reader(location)()


def _kinds(node: Any) -> set[str]:
    return {type(spec).__name__ for spec in node.specs}


class TestOmeZarrPy:
    @pytest.fixture(autouse=True)
    def _no_trace(self, caplog: pytest.LogCaptureFixture) -> None:
        """Keep it from writing what it treats: one of its lines can't be formatted."""
        caplog.set_level(logging.WARNING, "ome_zarr.reader")

    def test_it_reads_the_plate(self, ours: Ours) -> None:
        (node,) = _nodes(ours.plate)

        assert _kinds(node) == {"Plate"}
        assert node.metadata["channel_names"] == ["C0", "C1"]
        plate = node.metadata["metadata"]["plate"]
        assert [w["path"] for w in plate["wells"]] == ["A/1", "C/2"]
        # It shows the first field of each well, in a grid of rows A and C.
        t, c, z, height, width = SHAPE
        grid = np.asarray(node.data[0])
        assert grid.shape == (t, c, z, 2 * height, 2 * width)
        np.testing.assert_array_equal(grid[..., :height, :width], ours.pixels["A/1/0a0"])
        np.testing.assert_array_equal(grid[..., height:, width:], ours.pixels["C/2/0a0"])
        assert not grid[..., height:, :width].any()

    def test_it_reads_a_well(self, ours: Ours) -> None:
        (node,) = _nodes(ours.plate / "A/1")

        assert _kinds(node) == {"Well"}
        both = [ours.pixels[p] for p in ("A/1/0a0", "A/1/1a0")]
        np.testing.assert_array_equal(np.asarray(node.data[0]), np.concatenate(both, axis=-1))

    def test_it_reads_the_images_and_their_labels(self, ours: Ours) -> None:
        for path, expected in ours.pixels.items():
            image, group, label = _nodes(ours.plate / path)
            assert _kinds(image) == {"Multiscales", "OMERO"}
            assert image.metadata["channel_names"] == ["C0", "C1"]
            assert [a["name"] for a in image.metadata["axes"]] == list("tczyx")
            steps = [{"type": "scale", "scale": SCALE}]
            assert image.metadata["coordinateTransformations"] == [steps]
            np.testing.assert_array_equal(np.asarray(image.data[0]), expected)
            assert _kinds(group) == {"Labels"}
            assert _kinds(label) == {"Label", "Multiscales"}
            assert label.metadata["name"] == "cells"
            assert label.metadata["coordinateTransformations"] == [steps]
            np.testing.assert_array_equal(np.asarray(label.data[0]), ours.labels[path])

    def test_it_reads_the_mosaic(self, ours: Ours) -> None:
        (node,) = _nodes(ours.mosaic)

        assert _kinds(node) == {"Multiscales", "OMERO"}
        assert node.metadata["channel_names"] == ["C0", "C1"]
        assert len(node.data) > 1
        world = _world(ours, ours.pixels, ours.mosaic)
        np.testing.assert_array_equal(np.asarray(node.data[0]), world)

    def test_it_reads_the_objects(self, ours: Ours) -> None:
        (mosaic,) = _nodes(ours.objects / "mosaic.zarr")
        (site,) = _nodes(ours.objects / "sites.zarr/0")

        assert _kinds(mosaic) == _kinds(site) == {"Label", "Multiscales"}
        shown = _world(ours, ours.labels, ours.objects / "mosaic.zarr") > 0
        np.testing.assert_array_equal(np.asarray(mosaic.data[0]) > 0, shown)
        np.testing.assert_array_equal(np.asarray(site.data[0]), ours.labels["A/1/0a0"])


def _layers(path: Path) -> list[tuple[Any, dict[str, Any], str]]:
    from napari_ome_zarr import napari_get_reader  # type: ignore[import-untyped]

    reader = napari_get_reader(str(path))
    assert reader is not None
    return list(reader(str(path)))


def _finest(layer: tuple[Any, dict[str, Any], str]) -> np.ndarray[Any, Any]:
    return np.asarray(layer[0][0] if isinstance(layer[0], list) else layer[0])


class TestNapari:
    def test_it_reads_the_plate(self, ours: Ours) -> None:
        image, labels = _layers(ours.plate)

        t, c, z, height, width = SHAPE
        assert (image[2], labels[2]) == ("image", "labels")
        assert image[1]["scale"] == [1.0, 1.5, 0.325, 0.325]
        assert [name.split(": ")[1] for name in image[1]["name"]] == ["C0", "C1"]
        grid = _finest(image)
        assert grid.shape == (t, c, z, 2 * height, 2 * width)
        np.testing.assert_array_equal(grid[..., :height, :width], ours.pixels["A/1/0a0"])
        np.testing.assert_array_equal(grid[..., height:, width:], ours.pixels["C/2/0a0"])
        shown = _finest(labels)
        np.testing.assert_array_equal(shown[..., :height, :width], ours.labels["A/1/0a0"])

    def test_it_reads_the_images_and_their_labels(self, ours: Ours) -> None:
        for path, expected in ours.pixels.items():
            image, labels = _layers(ours.plate / path)
            assert image[1]["channel_axis"] == 1
            assert image[1]["scale"] == [1.0, 1.5, 0.325, 0.325]
            assert image[1]["units"][1:] == ("micrometer",) * 3
            np.testing.assert_array_equal(_finest(image), expected)
            assert labels[2] == "labels"
            assert labels[1]["scale"] == SCALE
            np.testing.assert_array_equal(_finest(labels), ours.labels[path])

    def test_it_reads_the_mosaic_and_the_objects(self, ours: Ours) -> None:
        (image,) = _layers(ours.mosaic)
        (objects,) = _layers(ours.objects / "mosaic.zarr")

        world = _world(ours, ours.pixels, ours.mosaic)
        np.testing.assert_array_equal(_finest(image), world)
        shown = _world(ours, ours.labels, ours.objects / "mosaic.zarr") > 0
        np.testing.assert_array_equal(_finest(objects) > 0, shown)
        assert objects[2] == "labels"

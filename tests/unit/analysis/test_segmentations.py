"""Uploaded label images: what is written is read back, versions take over what was not uploaded again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import ome_zarr_models.v05 as ome_models
import pytest
import zarr

from gpu_workers.errors import UserError
from gpu_workers.storage.segmentations import (
    Segmentations,
    UploadedPlane,
    load_segmentations,
    publish,
    write_plane,
)
from tests.integration.mosaics import plates

LAYOUT = plates.layout(
    [[(0, 0, 60, 50), (0, 50, 60, 50)]], ("uint16",), height=512, width=512, shard=512, n_zplanes=2
)


def labels(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 70_000, (60, 50)).astype(np.uint32)


def upload(
    root: Path, key: str, base: str | None, images: dict[UploadedPlane, np.ndarray], **how: Any
) -> str:
    for plane, image in images.items():
        write_plane(root, key, LAYOUT, plane, image)
    return publish(root, key, LAYOUT, tuple(images), base, **how)


def plane(name: str = "Nuclei", site: int = 0, **where: Any) -> UploadedPlane:
    return UploadedPlane(type=name, plate=plates.PLATE, site=site, **where)


def test_a_version_holds_what_was_uploaded_now_and_before(tmp_path: Path) -> None:
    first = upload(tmp_path, "k1", None, {plane(): labels(1), plane(site=1): labels(2)})
    second = upload(tmp_path, "k2", first, {plane(site=1): labels(3), plane("Cells"): labels(4)})

    old, new = (Segmentations.open(tmp_path, path, LAYOUT) for path in (first, second))

    def read(of: Segmentations, name: str, site: int, z: int = 0) -> Any:
        return of.read(plates.PLATE, site, 0, z, name)

    np.testing.assert_array_equal(read(old, "Nuclei", 1), labels(2))
    np.testing.assert_array_equal(read(new, "Nuclei", 0), labels(1))
    np.testing.assert_array_equal(read(new, "Nuclei", 1), labels(3))
    # one plane stands for the whole stack
    np.testing.assert_array_equal(read(new, "Nuclei", 1, z=1), labels(3))
    np.testing.assert_array_equal(read(new, "Cells", 0), labels(4))
    assert read(new, "Cells", 1) is None
    versions = {t.name: t.version for t in new.manifest.types}
    assert versions == {"Nuclei": "k2", "Cells": "k2"}


def test_another_type_leaves_a_types_version_as_it_is(tmp_path: Path) -> None:
    first = upload(tmp_path, "k1", None, {plane(): labels(1)})
    second = upload(tmp_path, "k2", first, {plane("Cells"): labels(4)})
    third = publish(tmp_path, "k3", LAYOUT, (), second, removed=["Cells"])

    assert [(t.name, t.version) for t in load_segmentations(tmp_path, second).types] == [
        ("Cells", "k2"),
        ("Nuclei", "k1"),
    ]
    assert [t.name for t in load_segmentations(tmp_path, third).types] == ["Nuclei"]


def test_without_objects_is_not_the_same_as_not_uploaded(tmp_path: Path) -> None:
    path = upload(tmp_path, "k1", None, {plane(z=0): np.zeros((60, 50), np.int32)})

    read = Segmentations.open(tmp_path, path, LAYOUT).read

    empty = read(plates.PLATE, 0, 0, 0, "Nuclei")
    assert empty is not None
    assert not empty.any()
    assert read(plates.PLATE, 0, 0, 1, "Nuclei") is None
    assert read(plates.PLATE, 0, 0, 0, "Cells") is None


def test_other_programs_read_the_images(tmp_path: Path) -> None:
    path = upload(tmp_path, "k1", None, {plane(z=1): labels(1)})

    (found,) = load_segmentations(tmp_path, path).types[0].plates
    group = zarr.open_group(tmp_path / found.path / found.images[0].image, mode="r")

    ome_models.ImageLabel.from_zarr(group)
    array: Any = group["0"]
    np.testing.assert_array_equal(np.asarray(array[0, 0, 1]), labels(1))
    assert not np.asarray(array[0, 0, 0]).any()


@pytest.mark.parametrize(
    ("bad", "image", "code"),
    [
        (plane(site=2), labels(0), "unknown_site"),
        (plane(z=2), labels(0), "unknown_site"),
        (plane(t=1), labels(0), "unknown_site"),
        (plane("Wells"), labels(0), "reserved_name"),
        (plane(), labels(0)[1:], "wrong_size"),
        (plane(), labels(0).astype(float), "invalid_labels"),
        (plane(), -labels(0).astype(np.int64), "invalid_labels"),
    ],
)
def test_what_is_no_label_image_of_a_site_is_refused(
    tmp_path: Path, bad: UploadedPlane, image: np.ndarray, code: str
) -> None:
    with pytest.raises(UserError) as caught:
        write_plane(tmp_path, "k1", LAYOUT, bad, image)

    assert caught.value.code == code


def test_planes_of_a_stack_and_of_all_of_it_do_not_mix(tmp_path: Path) -> None:
    first = upload(tmp_path, "k1", None, {plane(): labels(1)})

    with pytest.raises(UserError) as caught:
        upload(tmp_path, "k2", first, {plane(z=1): labels(1)})

    assert caught.value.code == "mixed_planes"

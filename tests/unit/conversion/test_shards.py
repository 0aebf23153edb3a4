"""Shards written by us, read by zarr-python, and the other way round."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import zarr

from gpu_workers.storage import ome, shards


def _array(folder: Path, shape: tuple[int, ...], dtype: str, shard: tuple[int, int]) -> Path:
    ome.write_array(folder, ome.array_metadata(shape, dtype, shard=shard))
    return folder


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "float32"])
@pytest.mark.parametrize("size", [(512, 512), (1080, 700), (3, 1025)])
def test_zarr_reads_what_we_encode(tmp_path: Path, dtype: str, size: tuple[int, int]) -> None:
    rng = np.random.default_rng(1)
    image = rng.integers(0, 200, size).astype(dtype)
    shard = shards.padded(size[0]), shards.padded(size[1])
    folder = _array(tmp_path, (2, 1, 3, *size), dtype, shard)
    data = shards.encode_shard(image)
    assert data is not None
    path = ome.shard_path(folder, 1, 0, 2)
    path.parent.mkdir(parents=True)

    path.write_bytes(data)

    stored = zarr.open_array(folder, mode="r")
    np.testing.assert_array_equal(stored[1, 0, 2], image)
    assert not stored[0, 0, 2].any()
    np.testing.assert_array_equal(shards.decode_shard(data, size, dtype), image)


def test_we_decode_what_zarr_encodes(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    image = rng.integers(0, 60000, (1300, 900)).astype("uint16")
    folder = _array(tmp_path, (1, 1, 1, 1300, 900), "uint16", (1536, 1024))

    zarr.open_array(folder, mode="r+")[0, 0, 0] = image

    data = ome.shard_path(folder, 0, 0, 0).read_bytes()
    np.testing.assert_array_equal(shards.decode_shard(data, (1300, 900), "uint16"), image)


def test_only_present_chunks_are_stored(tmp_path: Path) -> None:
    image = np.ones((1024, 1024), "uint16")
    present = np.array([[True, False], [False, True]])
    folder = _array(tmp_path, (1, 1, 1, 1024, 1024), "uint16", (1024, 1024))

    data = shards.encode_shard(image, present=present, clevel=3)

    assert data is not None
    path = ome.shard_path(folder, 0, 0, 0)
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
    stored = zarr.open_array(folder, mode="r")[0, 0, 0]
    assert stored[:512, :512].all()
    assert not stored[:512, 512:].any()
    assert shards.encode_shard(image, present=np.zeros((2, 2), bool)) is None


def test_a_plane_of_zeros_is_stored() -> None:
    data = shards.encode_shard(np.zeros((512, 512), "uint16"))

    assert data is not None
    assert shards.shard_index(data, 1)[0, 1] > 0


def test_an_image_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="doesn't fit"):
        shards.encode_shard(np.zeros((600, 10), "uint8"), side=(512, 512))


@pytest.mark.parametrize("damage", ["short", "index", "chunk"])
def test_damage_is_noticed(damage: str) -> None:
    data = bytearray(
        shards.encode_shard(np.arange(512 * 512, dtype="uint32").reshape(512, 512)) or b""
    )
    if damage == "short":
        data = data[:10]
    else:
        data[-6 if damage == "index" else 5] ^= 0xFF

    with pytest.raises(shards.BadShard):
        shards.decode_shard(bytes(data), (512, 512), "uint32")


def test_metadata_is_json() -> None:
    text = json.dumps(ome.array_metadata((1, 1, 1, 5, 5), "uint16", shard=(512, 512)))

    assert json.loads(text)["codecs"][0]["name"] == "sharding_indexed"

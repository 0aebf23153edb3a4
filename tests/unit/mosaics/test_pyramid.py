"""A pyramid written in rounds equals the one computed from the whole image, and others read it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import zarr
from ome_zarr_models.v05.image import Image

from gpu_workers.imaging.mosaic import downsample_labels, downsample_mean
from gpu_workers.storage.pyramid import Pyramid, Round, plan_rounds

SHAPE = (1, 2, 1, 2900, 4200)
SHARD = 1024


def sparse_image(dtype: str) -> np.ndarray:
    rng = np.random.default_rng(5)
    image = np.zeros(SHAPE[3:], dtype)
    image[100:1301, 37:1999] = rng.integers(1, np.iinfo(dtype).max, (1201, 1962), dtype)
    image[2800:, 4100:] = 77
    return image


def written(folder: Path, image: np.ndarray, rounds: tuple[Round, ...], repeat: int = 1) -> Pyramid:
    """Write channel 1 of a pyramid the way the jobs of a step do."""
    pyramid = Pyramid(folder, SHAPE, str(image.dtype), SHARD, 4)  # type: ignore[arg-type]
    halve = downsample_labels if image.dtype == np.uint32 else downsample_mean

    def source(place: tuple[int, int, int], sy: int, sx: int) -> np.ndarray | None:
        assert place == (0, 1, 0)
        part = image[sy * SHARD : (sy + 1) * SHARD, sx * SHARD : (sx + 1) * SHARD]
        return part if part.any() else None

    for round_ in rounds:
        rows, columns = pyramid.grid(round_.top)
        for sy, sx in np.ndindex(rows, columns):
            for _ in range(repeat):
                pyramid.build(round_, (0, 1, 0), sy, sx, lambda a, *_: halve(a), source)
    return pyramid


@pytest.mark.parametrize("dtype", ["uint16", "uint32"])
@pytest.mark.parametrize(
    "rounds", [(Round(0, 3),), (Round(0, 0), Round(1, 1), Round(2, 3)), (Round(0, 1), Round(2, 3))]
)
def test_equals_the_whole_image_halved(
    tmp_path: Path, dtype: str, rounds: tuple[Round, ...]
) -> None:
    image = sparse_image(dtype)
    pyramid = written(tmp_path / "p.zarr", image, rounds)
    pyramid.write_metadata(name="plate", pixel_size_um=0.5)

    group = zarr.open_group(tmp_path / "p.zarr", mode="r")

    expected = np.pad(image, ((0, 4096 - SHAPE[3]), (0, 8192 - SHAPE[4])))
    for level in pyramid.levels:
        array = group[level["path"]]
        assert array.shape == (1, 2, 1, level["height"], level["width"])
        assert np.array_equal(array[0, 1, 0], expected[: level["height"], : level["width"]])
        assert not array[0, 0].any()
        expected = downsample_labels(expected) if dtype == "uint32" else downsample_mean(expected)


def test_repeating_a_job_changes_nothing(tmp_path: Path) -> None:
    image = sparse_image("uint16")
    once = written(tmp_path / "a.zarr", image, (Round(0, 1), Round(2, 3)))
    twice = written(tmp_path / "b.zarr", image, (Round(0, 1), Round(2, 3)), repeat=2)

    files = {p.relative_to(once.folder): p.read_bytes() for p in once.files()}

    assert files == {p.relative_to(twice.folder): p.read_bytes() for p in twice.files()}
    assert once.bytes_written() == sum(map(len, files.values()))


def test_empty_shards_and_chunks_are_absent(tmp_path: Path) -> None:
    pyramid = written(tmp_path / "p.zarr", sparse_image("uint16"), (Round(0, 3),))

    stored = {str(p.relative_to(pyramid.folder)) for p in pyramid.files()}

    assert {s for s in stored if s.startswith("0/")} == {
        f"0/c/0/1/0/{p}" for p in ("0/0", "0/1", "1/0", "1/1", "2/4")
    }
    corner = pyramid.shard_path(0, (0, 1, 0), 2, 4).stat().st_size
    assert corner < 5000  # one nearly constant chunk and the index


def test_metadata_is_valid_and_levels_are_placed(tmp_path: Path) -> None:
    pyramid = written(tmp_path / "p.zarr", sparse_image("uint16"), (Round(0, 3),))
    pyramid.write_metadata(name="plate", pixel_size_um=0.5, z_step_um=2.0)

    image = Image.from_zarr(zarr.open_group(tmp_path / "p.zarr", mode="r"))

    datasets = image.ome_attributes.multiscales[0].datasets
    third = datasets[2].coordinateTransformations
    assert third[0].scale == [1.0, 1.0, 2.0, 2.0, 2.0]
    assert third[1].translation == [0.0, 0.0, 0.0, 0.75, 0.75]


@pytest.mark.parametrize(("shard", "n_levels"), [(4096, 7), (2048, 5), (512, 9), (1536, 1)])
def test_rounds_cover_each_level_once(shard: int, n_levels: int) -> None:
    rounds = plan_rounds(shard, n_levels, 2)

    assert [level for r in rounds for level in range(r.bottom, r.top + 1)] == list(range(n_levels))


def test_a_pyramid_refuses_other_pixels(tmp_path: Path) -> None:
    pyramid = Pyramid(tmp_path, SHAPE, "uint16", SHARD, 4)

    with pytest.raises(TypeError, match="uint8"):
        pyramid.write_shard(0, (0, 0, 0), 0, 0, np.ones((5, 5), np.uint8))

"""imextract: every source plane is read once, written once, and can be proved to be the same."""

from __future__ import annotations

import os
import tracemalloc
from collections import Counter
from pathlib import Path
from typing import Any

import google_crc32c
import imagecodecs
import numpy as np
import pytest
import tifffile

from gpu_workers.__main__ import main
from gpu_workers.messages import ChannelCorrection, LayoutCorrections, SiteCorrection
from gpu_workers.runner.execute import run_step
from gpu_workers.storage import tables
from gpu_workers.storage.plates import Plates
from gpu_workers.storage.verification import plates_verify
from tests.integration.conversion.source import (
    Converted,
    convert,
    experiment,
    image,
    write_images,
)

NAMES = [f"p_{w}_s{s}_w{c}.tif" for w in ("A01", "B03") for s in (1, 2) for c in (1, 2)]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_images(tmp_path / "uploads" / "images", NAMES)
    return tmp_path


def _checksums(result: Converted) -> list[dict[str, Any]]:
    path = result.plates.manifest.checksums
    assert path is not None
    return tables.read_table(result.root / path).to_pylist()


def _shard(result: Converted, row: dict[str, Any]) -> Path:
    plate = next(p for p in result.plates.manifest.plates if p.id == row["plate"])
    place = (row["t"], row["channel"], row["z"], 0, 0)
    return result.root / plate.path / row["image"] / "0" / "c" / "/".join(map(str, place))


def test_the_checksum_of_every_plane_is_that_of_the_file(root: Path) -> None:
    result = convert(root, experiment("uploads/images"))

    rows = _checksums(result)
    assert {r["file"] for r in rows} == set(NAMES)
    assert len(rows) == len(NAMES)
    for row in rows:
        pixels = tifffile.imread(root / "uploads" / "images" / row["file"])
        assert row["checksum"] == google_crc32c.value(pixels.astype("<u2").tobytes())
        assert row["bytes"] == _shard(result, row).stat().st_size


def test_sound_plates_are_verified(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = convert(root, experiment("uploads/images"))

    assert main(["verify", str(root)]) == 0

    assert f"{len(NAMES)} planes, 0 damaged" in capsys.readouterr().out
    assert plates_verify(root, result.inputs["plates"]).planes == len(NAMES)


@pytest.mark.parametrize("damage", ["byte", "header", "short", "missing", "other", "metadata"])
def test_damage_is_found_and_named(
    root: Path, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    result = convert(root, experiment("uploads/images"))
    row, other = _checksums(result)[2:4]
    path = _shard(result, row)
    data = bytearray(path.read_bytes())
    if damage == "missing":
        path.unlink()
    elif damage == "metadata":
        (path.parents[5] / "zarr.json").write_text("{}")
    elif damage == "other":
        path.write_bytes(_shard(result, other).read_bytes())
    else:
        data[len(data) // 2] ^= 1 if damage == "byte" else 0
        data[4] ^= 0xFF if damage == "header" else 0
        path.write_bytes(data[:-1] if damage == "short" else data)

    status = main(["verify", str(root)])

    assert status == 1
    found = plates_verify(root, result.inputs["plates"])
    # Without its metadata both channels of the image are lost.
    assert found.n_damaged == (2 if damage == "metadata" else 1)
    assert found.damaged[0].file == row["file"]
    assert found.damaged[0].path in capsys.readouterr().out
    assert (root / found.damaged[0].path) == path


def _stack(folder: Path, n: int, side: int = 512) -> Path:
    folder.mkdir(parents=True)
    with tifffile.TiffWriter(folder / "p_A01_w1.tif") as tiff:
        for z in range(n):
            tiff.write(image(z, (side, side)), photometric="minisblack")
    return folder


def test_a_container_is_opened_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    half = convert(tmp_path, experiment(_stack(tmp_path / "images", 60, 64)), until="metaconfig")
    opened: Counter[str] = Counter()
    real = os.open

    def counted(path: Any, *arguments: Any, **options: Any) -> int:
        opened[Path(str(path)).name] += 1
        return real(path, *arguments, **options)

    monkeypatch.setattr(os, "open", counted)

    run_step(tmp_path, "imextract", experiment(tmp_path / "images"), {}, half.inputs)

    # Once to see what it is, once to read its 60 planes.
    assert opened["p_A01_w1.tif"] <= 2


def test_the_colours_of_a_page_are_decoded_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for n, well in enumerate(("A01", "A02")):
        pixels = np.random.default_rng(n).integers(0, 255, (64, 80, 3), dtype="uint8")
        (folder / f"p_{well}.png").write_bytes(imagecodecs.png_encode(pixels))
    half = convert(tmp_path, experiment(folder), until="metaconfig")
    decoded: list[int] = []
    real = imagecodecs.png_decode

    def counted(data: bytes, *arguments: Any, **options: Any) -> Any:
        decoded.append(len(data))
        return real(data, *arguments, **options)

    monkeypatch.setattr(imagecodecs, "png_decode", counted)

    product, _ = run_step(tmp_path, "imextract", experiment(folder), {}, half.inputs)

    assert product.output["planes"] == 6
    assert len(decoded) == 2


def _peak(root: Path, folder: Path, projection: str) -> int:
    half = convert(root, experiment(folder), until="metaconfig")
    tracemalloc.start()
    run_step(root, "imextract", experiment(folder), {"projection": projection}, half.inputs)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


@pytest.mark.parametrize("projection", ["mean", "best"])
def test_memory_does_not_grow_with_the_stack(tmp_path: Path, projection: str) -> None:
    plane = 512 * 512 * 2
    _peak(tmp_path / "warm", _stack(tmp_path / "warm" / "images", 2), projection)

    few = _peak(tmp_path / "few", _stack(tmp_path / "few" / "images", 5), projection)
    many = _peak(tmp_path / "many", _stack(tmp_path / "many" / "images", 60), projection)

    assert many < few + plane
    assert many < 14 * plane


def test_a_file_that_changed_is_left_out(root: Path) -> None:
    half = convert(root, experiment("uploads/images"), until="metaconfig")
    victim = root / "uploads" / "images" / NAMES[3]
    tifffile.imwrite(victim, image(99), photometric="minisblack")

    product, problems = run_step(root, "imextract", experiment("uploads/images"), {}, half.inputs)

    (problem,) = (p for p in problems if p.code == "file_changed")
    assert problem.files == (NAMES[3],)
    manifest = Plates.open(root, product.products["plates"]).manifest
    assert [(m.file, m.code) for m in manifest.missing] == [(NAMES[3], "file_changed")]
    assert manifest.planes == len(NAMES) - 1


def test_acquisitions_of_different_types_are_kept_exactly(tmp_path: Path) -> None:
    write_images(tmp_path / "a", ["p_A01_w1.tif"], dtype="uint8")
    write_images(tmp_path / "b", ["p_A01_w2.tif"], dtype="uint16")
    odd = image(0, dtype="float32")
    odd[:3, 0] = np.nan, np.inf, -np.inf
    (tmp_path / "c").mkdir()
    tifffile.imwrite(tmp_path / "c" / "p_A01_w3.tif", odd)

    result = convert(tmp_path, experiment("a", "b", "c", plates=(0, 0, 0), mode="multiplexing"))

    plate = result.layout.plates[0].id
    stored = [result.plates.read(plate, 0, 0, c, 0) for c in range(3)]
    assert [s.dtype for s in stored if s is not None] == ["uint8", "uint16", "float32"]
    np.testing.assert_array_equal(stored[0], image(0, dtype="uint8"))
    np.testing.assert_array_equal(stored[1], image(0))
    assert stored[2] is not None
    np.testing.assert_array_equal(stored[2].view("uint32"), odd.view("uint32"))
    assert not plates_verify(tmp_path, result.inputs["plates"]).damaged


def test_sites_of_different_sizes(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    sizes = {"one.tif": (64, 80), "two.tif": (600, 70), "three.tif": (64, 1030)}
    for seed, (name, size) in enumerate(sizes.items()):
        tifffile.imwrite(folder / name, image(seed, size), photometric="minisblack")

    result = convert(tmp_path, experiment(folder))

    plate = result.layout.plates[0]
    assert {(s.height, s.width) for s in plate.sites} == set(sizes.values())
    for seed, (name, size) in enumerate(sizes.items()):
        (row,) = (r for r in result.planes if r["file"] == name)
        stored = result.plates.read(plate.id, row["site"], 0, 0, 0)
        np.testing.assert_array_equal(stored, image(seed, size))


def test_corrections_convert_nothing_again(root: Path) -> None:
    first = convert(root, experiment("uploads/images"))
    plate = first.layout.plates[0]
    written = {p: p.stat().st_mtime_ns for p in root.glob("plates/**/c/*/*/*/*/*")}
    moved = SiteCorrection(plate=plate.id, well="B03", site="1", to_well="C07")
    names = (ChannelCorrection(channel=first.layout.channels[0].name, name="DNA"),)
    corrected = experiment("uploads/images").model_copy(
        update={"corrections": LayoutCorrections(channels=names, sites=(moved,))}
    )

    second = convert(root, corrected)

    assert second.inputs["layout"] != first.inputs["layout"]
    assert second.inputs["plates"] == first.inputs["plates"]
    assert {p: p.stat().st_mtime_ns for p in written} == written
    assert second.layout.channels[0].name == "DNA"
    (site,) = (s for s in second.layout.plates[0].sites if s.well == "C07")
    pixels = Plates.open(root, second.inputs["plates"], second.layout)
    stored = pixels.read(plate.id, site.index, 0, 1, 0)
    np.testing.assert_array_equal(stored, image(NAMES.index("p_B03_s1_w2.tif")))

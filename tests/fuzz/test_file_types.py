"""Damaged image files of every registered type: an error that names the file, or a value."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_workers import registry
from gpu_workers.errors import FileError
from gpu_workers.formats.files import FileCache, read_contents
from tests.fuzz.mutation import CHANGES, Change, damage
from tests.fuzz.seeds import file_seeds, set_seeds
from tests.fuzz.watch import examples, named, watched

_MAX_PLANES = 3
KINDS = registry.names("files")


def read_everything(folder: Path, name: str) -> None:
    """Read contents and some planes; raise whatever comes but errors that name a file."""
    try:
        contents = read_contents(folder, name)
    except FileError as error:
        named(error)
        return
    with FileCache(folder) as files:
        for image in contents:
            for number, plane in enumerate(image.each_plane()):
                if number >= _MAX_PLANES:
                    break
                try:
                    found = files.read(plane.file or name, plane.page, image.samples - 1)
                except FileError as error:
                    named(error)
                else:
                    assert found.ndim == 2


@pytest.mark.parametrize("kind", KINDS)
def test_there_is_a_seed(kind: str) -> None:
    """A type that is registered but never damaged here would be a hole in these tests."""
    assert file_seeds(kind) or set_seeds(kind)


@pytest.mark.parametrize("kind", [k for k in KINDS if file_seeds(k)])
def test_damaged_files(kind: str, tmp_path: Path) -> None:
    seeds = file_seeds(kind)
    for name, data in seeds:
        (tmp_path / name).write_bytes(data)
        assert read_contents(tmp_path, name)

    @examples(200)
    @given(number=st.integers(0, len(seeds) - 1), changes=CHANGES)
    def read(number: int, changes: list[Change]) -> None:
        name, data = seeds[number]
        (tmp_path / name).write_bytes(damage(data, changes))
        with watched():
            read_everything(tmp_path, name)

    read()


@pytest.mark.parametrize("kind", [k for k in KINDS if set_seeds(k)])
def test_damaged_sets(kind: str, tmp_path: Path) -> None:
    folders, files = _sets(kind, tmp_path)

    @examples(200)
    @given(number=st.integers(0, 10**6), changes=CHANGES)
    def read(number: int, changes: list[Change]) -> None:
        path = files[number % len(files)]
        data = path.read_bytes()
        path.write_bytes(damage(data, changes))
        try:
            with watched():
                for folder, name in folders:
                    read_everything(folder, name)
        finally:
            path.write_bytes(data)

    read()


def _sets(kind: str, root: Path) -> tuple[list[tuple[Path, str]], list[Path]]:
    """Return what can be opened as a type (folder, path below it), and all files to damage."""
    opened: list[tuple[Path, str]] = []
    for number, build in enumerate(set_seeds(kind)):
        folder = root / str(number)
        folder.mkdir()
        _build(build, folder)
        opened += [(folder, p.relative_to(folder).as_posix()) for p in _openable(kind, folder)]
    used = {folder for folder, _ in opened}
    files = sorted(
        p for f in used for p in f.rglob("*") if p.is_file() and p.stat().st_size < 2**20
    )
    assert opened
    assert files
    return opened, files


def _build(build: Callable[[Path], None], folder: Path) -> None:
    build(folder)


def _openable(kind: str, folder: Path) -> list[Path]:
    if kind == "zarr":
        return [p for p in sorted(folder.rglob("*")) if p.is_dir() and _readable(folder, p)]
    suffixes = registry.load("files", kind).suffixes
    return [p for p in sorted(folder.rglob("*")) if p.suffix in suffixes and _readable(folder, p)]


def _readable(folder: Path, path: Path) -> bool:
    try:
        return bool(read_contents(folder, path.relative_to(folder).as_posix()))
    except FileError:
        return False

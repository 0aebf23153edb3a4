"""The note of removed originals: anybody who may write a folder can put something in its place."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from gpu_workers.errors import FileError
from gpu_workers.formats import removed
from gpu_workers.formats.listing import scan


def _noted(folder: Path, *files: object) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "one.tif").write_bytes(b"II*\0")
    (folder / removed.NOTE).write_text(json.dumps({"version": 1, "files": files}))
    return folder


def test_files_that_are_gone_are_named(tmp_path: Path) -> None:
    folder = _noted(tmp_path / "a", "one.tif", "two.tif")

    with pytest.raises(FileError, match=r"1 image file \(such as two.tif\)") as caught:
        scan(folder)

    assert caught.value.code == "originals_removed"


def test_a_note_does_not_tell_what_lies_elsewhere(tmp_path: Path) -> None:
    secret = tmp_path / "secret.tif"
    secret.write_bytes(b"")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "way").symlink_to(tmp_path)

    for there, not_there in (
        ("../secret.tif", "../other.tif"),
        (str(secret), str(tmp_path / "other.tif")),
        ("way/secret.tif", "way/other.tif"),
    ):
        answers = []
        for name in (there, not_there):
            try:
                removed.require_files(_noted(tmp_path / "a", name))
                answers.append("")
            except FileError as error:
                answers.append(error.code)
        assert answers[0] == answers[1]


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"[]",
        b'{"files": 3}',
        b'{"files": [["a"]]}',
        b"\xff",
        b"[" * 100_000,
        b'{"files": null}',
    ],
)
def test_a_damaged_note_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / removed.NOTE).write_bytes(content)

    with pytest.raises(FileError, match="removed-originals") as caught:
        removed.removed_files(tmp_path)

    assert caught.value.code == "bad_metadata"


def test_a_note_that_is_no_file_is_not_waited_for_nor_followed(tmp_path: Path) -> None:
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    pipe.mkdir()
    link.mkdir()
    os.mkfifo(pipe / removed.NOTE)
    (link / removed.NOTE).symlink_to("/dev/zero")

    for folder in (pipe, link):
        with pytest.raises(FileError, match="removed-originals"):
            removed.removed_files(folder)


def test_a_huge_note_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / removed.NOTE).open("wb") as stream:
        stream.truncate(2**31)

    with pytest.raises(FileError, match="removed-originals"):
        removed.removed_files(tmp_path)

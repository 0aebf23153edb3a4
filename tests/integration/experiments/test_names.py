"""No name and no path leads out of where it belongs (needs no database)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.core.errors import ApplicationError
from apps.experiments.services.filenames import name_fault
from apps.experiments.services.registration import folder_resolve
from apps.experiments.services.uploads import Piece, piece_parse

PIECES = st.sampled_from(["..", ".", "", "/", "a", "b.tif", "\n", "\x00", "\\", "~", "ä", " "])
NAMES = st.one_of(st.text(max_size=40), st.lists(PIECES, max_size=6).map("/".join))


@given(NAMES)
def test_an_accepted_name_stays_below_its_folder(name: str) -> None:
    if name_fault(name):
        return

    path = os.path.normpath(os.path.join("/uploads/x", name))  # noqa: PTH118

    assert path == f"/uploads/x/{name}"
    assert name.isprintable() or all(ord(c) >= 32 for c in name)
    assert len(name.encode()) < 4096


@given(NAMES)
def test_an_accepted_folder_lies_below_the_root(
    tmp_path_factory: pytest.TempPathFactory, name: str
) -> None:
    root = tmp_path_factory.getbasetemp()
    code, found = "", root
    try:
        found = folder_resolve(f"{root}/{name}", [root])
    except ApplicationError as error:
        code = error.code

    assert code in {"", "bad_path", "outside_roots", "no_such_folder", "not_a_folder", "symlink"}
    assert found.resolve().is_relative_to(root.resolve())


@given(st.text(max_size=30) | st.from_regex(r"bytes \d{0,3}-\d{0,3}/\d{0,3}"), st.integers(0, 999))
def test_a_range_is_understood_or_refused(header: str, length: int) -> None:
    piece, status = Piece(0, length, length), 0
    try:
        piece = piece_parse(header, length)
    except ApplicationError as error:
        status = error.status

    assert status in {0, 400, 413}
    assert 0 <= piece.start <= piece.end <= piece.total
    assert piece.length == length


def test_a_link_as_root_is_followed_once(tmp_path: Path) -> None:
    (tmp_path / "real" / "plate").mkdir(parents=True)
    (tmp_path / "root").symlink_to(tmp_path / "real")

    found = folder_resolve(str(tmp_path / "root" / "plate"), [tmp_path / "root"])

    assert found == tmp_path / "real" / "plate"


@pytest.mark.parametrize(
    "name",
    [".zattrs", "plate.zarr/B/03/0/.zgroup", "plate.zarr/B/03/0/0/.zarray", "a.zarr/0/0.0.0"],
)
def test_the_hidden_names_of_zarr_are_accepted(name: str) -> None:
    assert name_fault(name) == ""

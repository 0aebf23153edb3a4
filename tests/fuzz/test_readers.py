"""Damaged acquisitions of every registered reader: an error that names the file, or a survey."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_workers import registry
from gpu_workers.errors import UserError
from gpu_workers.formats import reader as readers
from gpu_workers.formats.listing import Listing, scan
from tests.fuzz.mutation import CHANGES, Change, damage
from tests.fuzz.seeds import reader_seeds
from tests.fuzz.watch import examples, named, watched

_MAX_BYTES = 2**20


def survey(name: str, listing: Listing) -> None:
    """Score and survey; raise whatever comes but errors that name a file."""
    reader = readers.load(name)
    try:
        assert 0 <= reader.score(listing) <= 1
        found = reader.survey(listing)
    except UserError as error:
        named(error)
    else:
        assert found.facts.reader == name
        assert all(p.file for p in found.planes)
        assert all(p.files for p in found.problems)


@pytest.mark.parametrize("name", registry.names("readers"))
def test_there_is_a_seed(name: str) -> None:
    """A reader that is registered but never fed damaged files would be a hole in these tests."""
    assert reader_seeds(name)


@pytest.mark.parametrize("name", registry.names("readers"))
def test_damaged_acquisitions(name: str, tmp_path: Path) -> None:
    listings = []
    for number, build in enumerate(reader_seeds(name)):
        folder = tmp_path / str(number)
        folder.mkdir()
        build(folder)
        listings.append(scan(folder))
    files = [
        (listing, f)
        for listing in listings
        for f in listing.files
        if 0 < f.size < _MAX_BYTES
    ]  # fmt: skip
    if not files:
        pytest.skip("it looks at names only")

    @examples(60)
    @given(number=st.integers(0, 10**6), changes=CHANGES)
    def run(number: int, changes: list[Change]) -> None:
        listing, file = files[number % len(files)]
        path = listing.folder / file.path
        data = path.read_bytes()
        path.write_bytes(damage(data, changes))
        try:
            with watched():
                survey(name, scan(listing.folder))
        finally:
            path.write_bytes(data)

    run()

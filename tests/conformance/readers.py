"""What every reader promises; the tests of a reader subclass `ReaderConformance`.

A subclass says which reader it is about and writes a small acquisition; everything else is asked
here: who recognises it, what is opened, and what damaged or hostile input leads to.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpu_workers import registry
from gpu_workers.errors import FileError, UserError
from gpu_workers.formats import reader as readers
from gpu_workers.formats.listing import IMAGE_SUFFIXES, FileEntry, Listing, safe_name, scan
from gpu_workers.formats.survey import SourcePlane, Survey, well_position

BOMB = (
    '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">'
    '<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]><x>&c;</x>'
)
OUTSIDE = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/hostname">]><x>&a;</x>'
_NAMES = st.text(
    st.characters(exclude_categories=("C", "Zl", "Zp", "Zs")), min_size=1, max_size=60
).filter(safe_name)
_watched: list[str] | None = None


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if _watched is not None and event == "open" and isinstance(arguments[0], (str, Path)):
        _watched.append(str(arguments[0]))


@contextmanager
def opened_below(folder: Path) -> Iterator[list[str]]:
    """Collect the paths below a folder of all files that are opened meanwhile."""
    global _watched
    if not getattr(_watch, "installed", False):
        # An audit hook sees every opening, whoever asks for it, and can't be taken out again.
        sys.addaudithook(_watch)
        _watch.installed = True  # type: ignore[attr-defined]
    found: list[str] = []
    _watched = []
    try:
        yield found
    finally:
        root = f"{folder}/"
        found += [p.removeprefix(root) for p in _watched if p.startswith(root)]
        _watched = None


def calls_of(reader: readers.Reader, listing: Listing) -> int:
    """Return how many functions a survey calls: a measure of work that no other process disturbs."""
    count = 0

    def tally(_frame: object, event: str, _argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(tally)
    try:
        reader.survey(listing)
    finally:
        sys.setprofile(before)
    return count


def lies_in(plane: SourcePlane, listing: Listing) -> bool:
    """Return whether a plane's file, or folder of a hierarchy, was found by the listing."""
    return listing.get(plane.file) is not None or any(
        f.path.startswith(f"{plane.file}/") for f in listing.files
    )


class ReaderConformance:
    """The promises; `reader` and `build` are needed, the rest where it applies.

    Attributes
    ----------
    reader
        Name it is registered under.
    metadata
        Files of the built folder that the reader parses, without which it finds nothing.
    xml
        The metadata files are XML: cut short or with declarations of entities they are refused.
    masters
        Image files that the reader may open because they describe all others.
    """

    reader: ClassVar[str]
    metadata: ClassVar[tuple[str, ...]] = ()
    xml: ClassVar[bool] = False
    masters: ClassVar[frozenset[str]] = frozenset()

    def build(self, folder: Path) -> None:
        """Write a small acquisition in which nothing is wrong; image files may be empty."""
        raise NotImplementedError

    def grow(self, folder: Path, n: int) -> bool:
        """Write an acquisition of n images; return False where that makes no sense."""
        return False

    def escape(self, folder: Path) -> bool:
        """Let the metadata of a built folder name ``../secret.tif``; False where it names no files."""
        return False

    def real(self) -> list[Path]:
        """Return real acquisitions, by `tests.data_sets`."""
        return []

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        folder = tmp_path / "acquisition"
        folder.mkdir()
        self.build(folder)
        return folder

    def _survey(self, folder: Path) -> Survey:
        return readers.load(self.reader).survey(scan(folder))

    def test_it_is_registered_and_describes_itself(self) -> None:
        found = readers.load(self.reader)

        assert self.reader in registry.names("readers")
        assert isinstance(found, readers.Reader)
        assert found.name == self.reader
        assert found.title
        assert found.help.endswith(".")
        assert isinstance(found.VERSION, int)
        assert found.VERSION >= 1

    def test_it_recognises_its_own_folder_best(self, folder: Path) -> None:
        listing = scan(folder)

        scores = {name: readers.load(name).score(listing) for name in registry.names("readers")}

        own = scores.pop(self.reader)
        assert 0 < own <= 1
        assert own > max(scores.values()), scores
        assert readers.choose(listing).name == self.reader

    @pytest.mark.parametrize(
        "names",
        [(), ("notes.txt",), ("holiday.tif",), ("IMG.jpg", "report.pdf", "data.xml", "list.csv")],
    )
    def test_it_does_not_claim_what_it_cannot_read(
        self, names: tuple[str, ...], tmp_path: Path
    ) -> None:
        for name in names:
            (tmp_path / name).write_bytes(b"nothing to see")
        listing = Listing(tmp_path, tuple(FileEntry(n, 14, 1) for n in names))

        assert readers.load(self.reader).score(listing) == 0

    def test_an_empty_folder_holds_nothing(self, tmp_path: Path) -> None:
        try:
            found = readers.load(self.reader).survey(Listing(tmp_path, ()))
        except UserError as error:
            assert error.code != "internal_error"  # noqa: PT017
        else:
            assert found.planes == []

    def test_images_stay_closed(self, folder: Path) -> None:
        listing = scan(folder)

        with opened_below(folder) as opened:
            readers.load(self.reader).survey(listing)

        images = {p for p in opened if FileEntry(p, 0, 0).suffix in IMAGE_SUFFIXES}
        assert images <= self.masters

    def test_scoring_and_surveying_do_not_change_the_folder(self, folder: Path) -> None:
        before = scan(folder).fingerprint()

        readers.load(self.reader).score(scan(folder))
        self._survey(folder)

        assert scan(folder).fingerprint() == before

    def test_planes_are_of_files_that_are_there(self, folder: Path) -> None:
        listing = scan(folder)

        found = self._survey(folder)

        assert found.planes
        assert all(lies_in(p, listing) for p in found.planes)
        assert not any(lies_in(p, listing) for p in found.absent)
        assert not {f.path for f in found.files or ()} - {
            *(f.path for f in listing.files),
            *(p.file for p in found.planes),
        }
        assert found.problems == []

    def test_wells_and_channels_have_names(self, folder: Path) -> None:
        found = self._survey(folder)

        for plane in found.planes:
            assert not plane.well or well_position(plane.well)
        keys = [c.key for c in found.facts.channels]
        assert len(set(keys)) == len(keys)
        assert {p.channel for p in found.planes} - {""} <= set(keys)
        assert found.facts.reader == self.reader
        assert all(re.fullmatch("#[0-9a-f]{6}", c.color) for c in found.facts.channels if c.color)

    def test_no_two_planes_are_the_same(self, folder: Path) -> None:
        planes = self._survey(folder).planes

        assert len({(*p[1:7], p.cycle, p.page, p.well or p.file) for p in planes}) == len(planes)

    def test_two_surveys_are_equal(self, folder: Path) -> None:
        assert self._survey(folder) == self._survey(folder)

    def test_problems_name_files(self, folder: Path) -> None:
        first = self._survey(folder).planes[0].file
        target = folder / first
        if target.is_file():
            target.unlink()
        (folder / "unexpected image.tif").touch()

        try:
            problems = self._survey(folder).problems
        except FileError as error:
            assert error.files  # noqa: PT017
        else:
            assert all(p.files for p in problems), problems

    def test_more_files_are_not_more_openings(self, folder: Path) -> None:
        before = scan(folder)
        more = tuple(FileEntry(f"extra/{n}.tif", 1, 1) for n in range(2000))
        grown = Listing(folder, tuple(sorted((*before.files, *more), key=lambda f: f.path)))
        reader = readers.load(self.reader)

        with opened_below(folder) as few:
            reader.survey(before)
        with opened_below(folder) as many:
            reader.survey(grown)

        assert len(many) == len(few)

    def test_work_grows_no_faster_than_the_folder(self, tmp_path: Path) -> None:
        small, large = tmp_path / "small", tmp_path / "large"
        small.mkdir()
        large.mkdir()
        if not (self.grow(small, 100) and self.grow(large, 800)):
            pytest.skip("one file holds all")
        reader = readers.load(self.reader)

        few, many = calls_of(reader, scan(small)), calls_of(reader, scan(large))

        assert many < 12 * few

    def test_names_that_leave_the_folder_are_refused(self, folder: Path) -> None:
        (folder.parent / "secret.tif").write_bytes(b"not yours")
        if not self.escape(folder):
            pytest.skip("no metadata file names images")

        try:
            with opened_below(folder.parent) as opened:
                found = self._survey(folder)
        except FileError as error:
            assert error.code != "internal_error"  # noqa: PT017
        else:
            assert not any("secret" in p.file for p in [*found.planes, *found.absent])
            assert found.problems
        assert not any("secret" in p for p in opened)

    @pytest.mark.parametrize("part", [0.0, 0.1, 0.5, 0.9, 0.99])
    def test_metadata_cut_short(self, folder: Path, part: float) -> None:
        for name in self.metadata:
            content = (folder / name).read_bytes()
            (folder / name).write_bytes(content[: int(len(content) * part)])
            self._survey_or_error(folder, name, must_fail=self.xml)
            (folder / name).write_bytes(content)

    @pytest.mark.parametrize(
        "garbage",
        [b"\0" * 100, b"\xff\xfe\x00<", b"garbage", b"<x>" * 2000, b"\x89PNG\r\n\x1a\n" * 9],
    )
    def test_metadata_that_is_garbage(self, folder: Path, garbage: bytes) -> None:
        for name in self.metadata:
            content = (folder / name).read_bytes()
            (folder / name).write_bytes(garbage)
            self._survey_or_error(folder, name, must_fail=self.xml)
            (folder / name).write_bytes(content)

    @pytest.mark.parametrize("hostile", [BOMB, OUTSIDE])
    def test_entities_are_refused(self, folder: Path, hostile: str) -> None:
        if not self.xml:
            pytest.skip("its metadata is no XML")
        for name in self.metadata:
            content = (folder / name).read_bytes()
            (folder / name).write_text(hostile)
            self._survey_or_error(folder, name, must_fail=True)
            (folder / name).write_bytes(content)

    def _survey_or_error(self, folder: Path, name: str, *, must_fail: bool) -> None:
        try:
            self._survey(folder)
        except FileError as error:
            assert name in error.files  # noqa: PT017
            assert name.rpartition("/")[2] in error.message  # noqa: PT017
        else:
            assert not must_fail, f"{name} was taken as it is"

    def test_no_names_make_it_fail_unexpectedly(self, tmp_path: Path) -> None:
        reader = readers.load(self.reader)

        @settings(max_examples=30, deadline=None)
        @given(names=st.lists(_NAMES, max_size=8))
        def survey(names: list[str]) -> None:
            files = sorted({f"{n}.tif" for n in names})
            listing = Listing(tmp_path, tuple(FileEntry(n, 1, 1) for n in files))
            assert 0 <= reader.score(listing) <= 1
            try:
                found = reader.survey(listing)
            except UserError:
                return
            assert {p.file for p in found.planes} <= set(files)

        survey()

    def test_real_acquisitions(self) -> None:
        folders = self.real()
        if not folders:
            pytest.skip("there is no real data of this format")
        for folder in folders:
            listing = scan(folder)
            found = readers.choose(listing).survey(listing)
            assert found.facts.reader == self.reader
            assert found.planes or found.absent
            assert all(lies_in(p, listing) for p in found.planes)
            assert all(p.files for p in found.problems)

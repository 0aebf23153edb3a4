"""OME-TIFF: what the files say of themselves, with the files of a set found by their first one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import ClassVar, Final

from gpu_workers.errors import FileError
from gpu_workers.formats.files import blaming, open_file
from gpu_workers.formats.files.ome_xml import MAX_XML, parse
from gpu_workers.formats.files.tiff import TiffFile
from gpu_workers.formats.files.tiff_ome import is_ome
from gpu_workers.formats.images import files_as_sites, sample
from gpu_workers.formats.listing import FileEntry, Listing, aggregate
from gpu_workers.formats.survey import Survey, VendorFacts

_NAME = re.compile(r"(?i)\.ome\.(tiff?|tf2|tf8|btf)")
_COMPANION: Final = ".companion.ome"
_FILE_NAME = re.compile(r'<(?:\w+:)?UUID\b[^>]*\bFileName="([^"]{1,400})"')
_METADATA_FILE = re.compile(r'<(?:\w+:)?BinaryOnly\b[^>]*\bMetadataFile="([^"]{1,400})"')
_SCORE_SURE, _SCORE_LIKELY = 0.9, 0.38


@dataclass(frozen=True, slots=True)
class _Document:
    """What matters of a file's OME-XML before it is read: names of other files, whether wells are there."""

    members: tuple[str, ...]
    companion: str | None
    has_wells: bool
    n_images: int


class OmeTiffReader:
    name: ClassVar = "ome_tiff"
    title: ClassVar = "OME-TIFF"
    help: ClassVar = (
        "TIFF files with OME-XML, alone or as sets, with companion files: plates, wells, fields, channels, "
        "positions and times as they are described there."
    )
    VERSION: ClassVar = 1

    def score(self, listing: Listing) -> float:
        """Return 0.9 where OME-XML tells of wells or of several files, else up to 0.38."""
        if _companions(listing):
            return _SCORE_SURE
        files = listing.images()
        named = [f for f in files if _NAME.search(f.name)]
        chosen = sample(named or [f for f in files if f.suffix in (".tif", ".tiff", ".btf")])
        if not chosen or (len(named) < len(files) / 2 < len(files) and named):
            return 0.0
        documents = [d for d in (_document(listing, f.path) for f in chosen) if d is not None]
        sure = any(d.has_wells or len(d.members) > 1 or d.companion for d in documents)
        return (_SCORE_SURE if sure else _SCORE_LIKELY) * len(documents) / len(chosen)

    def survey(self, listing: Listing, pattern: str | None = None) -> Survey:  # noqa: ARG002
        """Return the files to ask: the first one of each set, and those that stand alone.

        Raises
        ------
        FileError
            A companion file can't be read.
        """
        masters, claimed, missing, has_wells = _companion_sets(listing)
        images = [f for f in listing.images() if f.path not in claimed]
        for entry, document in _documents(listing, images, claimed, has_companion=bool(masters)):
            has_wells |= document.has_wells
            if document.companion:
                missing += _absent(listing, entry, {document.companion})
            missing += _absent(listing, entry, set(document.members))
            there = [
                m for m in (_beside(entry.path, n) for n in document.members) if listing.get(m)
            ]
            # The first one that is there speaks for all (`tiff_ome.Members`).
            claimed |= {*there[1:]}
        masters += [f for f in images if f.path not in claimed]
        planes = files_as_sites(masters)
        if has_wells:
            planes = [p._replace(site="") for p in planes]
        problems = aggregate(
            "file_missing", "{n} {file is|files are} named by OME-XML but {isn't|aren't} there",
            sorted(set(missing)),
        )  # fmt: skip
        return Survey(
            VendorFacts(reader=self.name, own_sizes=True), planes, [], list(problems), masters
        )


def _is_companion(entry: FileEntry) -> bool:
    return entry.name.lower().endswith(_COMPANION)


def _companions(listing: Listing) -> list[FileEntry]:
    return [f for f in listing.with_suffix(".ome") if _is_companion(f)]


def _beside(file: str, name: str) -> str:
    return str(PurePosixPath(file).parent / name)


def _absent(listing: Listing, entry: FileEntry, names: set[str]) -> list[str]:
    paths = sorted(_beside(entry.path, name) for name in names)
    return [p for p in paths if p != entry.path and listing.get(p) is None]


def _companion_sets(listing: Listing) -> tuple[list[FileEntry], set[str], list[str], bool]:
    """Return the companion files, the image files they describe, those missing, whether wells are told of."""
    claimed: set[str] = set()
    missing: list[str] = []
    has_wells = False
    found = _companions(listing)
    for entry in found:
        text = listing.read_metadata(entry).decode("utf-8-sig", "replace")
        ome = parse(text, entry.path)
        names = {b.file for i in ome.images for b in i.blocks if b.file}
        claimed |= {_beside(entry.path, n) for n in names}
        missing += _absent(listing, entry, names)
        has_wells |= bool(ome.fields)
    return found, claimed, missing, has_wells


def _documents(
    listing: Listing, images: list[FileEntry], claimed: set[str], *, has_companion: bool
) -> Iterator[tuple[FileEntry, _Document]]:
    """Yield the OME-XML of the files that no other file has told of.

    Where a sample shows that files stand alone, no more of them are opened: each will be asked for
    its contents anyway.
    """
    named = [f for f in images if _NAME.search(f.name)] or ([] if has_companion else images[:1])
    first = sample(named)
    in_sets = False
    for entry in [*first, *(f for f in named if f not in first)]:
        if entry.path in claimed:
            continue
        if entry not in first and not in_sets:
            return
        document = _document(listing, entry.path)
        if document is not None:
            in_sets |= len(document.members) > 1
            yield entry, document


def _document(listing: Listing, file: str) -> _Document | None:
    """Return what the OME-XML of a file says of sets and wells; None without one."""
    try:
        opened = open_file(listing.folder, file)
    except FileError:
        return None
    try:
        with blaming(file):
            text = opened.description[:MAX_XML] if isinstance(opened, TiffFile) else ""
    except FileError:
        return None
    finally:
        opened.close()
    if not is_ome(text):
        return None
    companion = _METADATA_FILE.search(text)
    return _Document(
        tuple(dict.fromkeys(_FILE_NAME.findall(text))), companion[1] if companion else None,
        "<WellSample" in text or ":WellSample" in text, text.count("<Image "),
    )  # fmt: skip

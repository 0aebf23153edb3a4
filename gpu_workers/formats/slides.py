"""Slides of whole-slide scanners: each file is a slide, in a well of its own."""

from __future__ import annotations

from typing import ClassVar, Final

from gpu_workers.errors import FileError
from gpu_workers.formats.files import blaming, open_file
from gpu_workers.formats.files.tiff import TiffFile
from gpu_workers.formats.images import image_share, sample, without_masks
from gpu_workers.formats.listing import FileEntry, Listing, aggregate
from gpu_workers.formats.survey import (
    PLATE_FORMATS,
    SourcePlane,
    Survey,
    VendorFacts,
    natural,
    well_name,
)

SUFFIXES: Final = (".svs", ".ndpi", ".scn", ".qptiff")
_TIFF: Final = (".tif", ".tiff", ".btf", ".tf2", ".tf8")


class SlidesReader:
    name: ClassVar = "slides"
    title: ClassVar = "Whole slides"
    help: ClassVar = (
        "Files of slide scanners (SVS, NDPI, SCN, QPTIFF) and other TIFF files with smaller copies of their "
        "image: each slide lies in a well of its own, in the order of the names, cut into regions; labels, "
        "overviews and thumbnails are left out."
    )
    VERSION: ClassVar = 1

    def score(self, listing: Listing) -> float:
        """Return 0.9 for scanners' own names, 0.35 for TIFF files that are slides inside."""
        files = listing.images()
        own = [f for f in files if f.suffix in SUFFIXES]
        if own:
            return 0.9 * len(own) / len(files) * image_share(listing, own)
        chosen = sample([f for f in files if f.suffix in _TIFF])
        found = sum(_is_slide(listing, f) for f in chosen)
        return 0.35 * found / len(chosen) if chosen else 0.0

    def survey(self, listing: Listing, pattern: str | None = None) -> Survey:  # noqa: ARG002
        """Return one well for each slide, on the smallest plate that has room for all.

        Raises
        ------
        FileError
            There are more slides than a plate has wells.
        """
        images = listing.images()
        own = [f for f in images if f.suffix in SUFFIXES]
        files, problems = without_masks(own or [f for f in images if f.suffix in _TIFF])
        ordered = sorted(files, key=lambda f: natural(f.path))
        size = next((n for n in sorted(PLATE_FORMATS) if n >= len(ordered)), None)
        if size is None:
            raise FileError(
                f"there are {len(ordered)} slides, more than the {max(PLATE_FORMATS)} wells of a plate",
                code="too_many_slides", files=tuple(f.path for f in ordered[:20]),
            )  # fmt: skip
        n_rows, n_columns = PLATE_FORMATS[size]
        planes = [
            SourcePlane(f.path, well_name(*divmod(n, n_columns)), "", "")
            for n, f in enumerate(ordered)
        ]
        used = {f.path for f in ordered}
        others = [f.path for f in images if f.path not in used and not _named(f, problems)]
        problems += aggregate(
            "no_slide", "{n} {image is no slide|images are no slides} and {is|are} left out", others
        )
        facts = VendorFacts(
            reader=self.name, plate_format=size, n_rows=n_rows, n_columns=n_columns, own_sizes=True
        )
        return Survey(facts, planes, [], list(problems), ordered)


def _named(file: FileEntry, problems: tuple[object, ...]) -> bool:
    return any(file.path in getattr(p, "files", ()) for p in problems)


def _is_slide(listing: Listing, file: FileEntry) -> bool:
    try:
        opened = open_file(listing.folder, file.path)
    except FileError:
        return False
    try:
        with blaming(file.path):
            return isinstance(opened, TiffFile) and opened.is_slide()
    except FileError:
        return False
    finally:
        opened.close()

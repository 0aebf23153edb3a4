"""Images whose names say nothing: each file is a site; the last resort among the readers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import ClassVar, Final

from gpu_workers.formats.files import known_type, read_contents
from gpu_workers.formats.listing import FileEntry, Listing, aggregate
from gpu_workers.formats.survey import ChannelFacts, SourcePlane, Survey, VendorFacts, natural
from gpu_workers.messages import Problem

N_SAMPLE: Final = 3
_MASK = re.compile(r"(?i)(.+?)[_\-. ]+(masks?|labels?|seg|segmentation)")


def sample(files: Sequence[FileEntry], n: int = N_SAMPLE) -> list[FileEntry]:
    """Return up to n files, spread evenly."""
    return list(files[:: max(1, -(-len(files) // n))]) if files else []


def image_share(listing: Listing, files: Sequence[FileEntry]) -> float:
    """Return which part of a sample of the files begins as an image file does."""
    chosen = sample(files)
    found = sum(known_type(listing.folder, f.path) is not None for f in chosen)
    return found / len(chosen) if chosen else 0.0


def without_masks(files: Sequence[FileEntry]) -> tuple[list[FileEntry], tuple[Problem, ...]]:
    """Return the files that are no label masks of others beside them, and a problem that names those."""
    # In a folder sorted by name, what shares a mask's beginning stands right beside it.
    ordered = sorted(files, key=lambda f: f.path)
    stems = [str(PurePosixPath(f.path).with_suffix("")) for f in ordered]
    masks = set()
    for i, stem in enumerate(stems):
        match = _MASK.fullmatch(stem)
        if match and any(
            other.startswith(match[1]) and not _MASK.fullmatch(other)
            for other in stems[max(0, i - 5) : i + 6]
        ):
            masks.add(ordered[i].path)
    problems = aggregate(
        "mask", "{n} {file looks like a mask|files look like masks} of other images and {is|are} left out",
        sorted(masks),
    )  # fmt: skip
    return [f for f in files if f.path not in masks], problems


def files_as_sites(files: Sequence[FileEntry]) -> list[SourcePlane]:
    """Return one site for each file, numbered by their names; a single file says all by itself."""
    ordered = sorted(files, key=lambda f: natural(f.path))
    alone = len(ordered) == 1
    return [SourcePlane(f.path, "", "" if alone else str(n), "") for n, f in enumerate(ordered, 1)]


class ImagesReader:
    name: ClassVar = "images"
    title: ClassVar = "Images of any name"
    help: ClassVar = (
        "Image files whose names and metadata name no wells: each file is a site of well A01, in the order "
        "of the names; channels, z planes and time points are those the files hold. Masks beside their "
        "images are left out."
    )
    VERSION: ClassVar = 1

    def score(self, listing: Listing) -> float:
        """Return a little where there are image files at all."""
        return 0.05 * image_share(listing, listing.images())

    def survey(self, listing: Listing, pattern: str | None = None) -> Survey:  # noqa: ARG002
        """Return each image file as one site."""
        files, problems = without_masks(listing.images())
        return Survey(
            VendorFacts(reader=self.name, own_sizes=True),
            files_as_sites(files),
            [],
            list(problems),
            files,
        )


class ChannelPagesReader:
    name: ClassVar = "channel_pages"
    title: ClassVar = "Stacks whose pages are channels"
    help: ClassVar = (
        "Image files of several pages, each of which is a channel (a marker): as 'Images of any name', but "
        "pages are channels whatever the files say. All files have as many pages as the first one."
    )
    VERSION: ClassVar = 1

    def score(self, listing: Listing) -> float:  # noqa: ARG002
        """Return 0: pages are taken for channels only where somebody says so."""
        return 0.0

    def survey(self, listing: Listing, pattern: str | None = None) -> Survey:  # noqa: ARG002
        """Return each page of each file as a channel; the first file tells how many there are."""
        files, problems = without_masks(listing.images())
        sites = files_as_sites(files)
        pages = _pages(listing, sites[0].file) if sites else []
        planes = [
            site._replace(site=site.site or "1", channel=str(n), page=page)
            for site in sites
            for n, page in enumerate(pages, 1)
        ]
        channels = tuple(
            ChannelFacts(key=str(n), name=f"Channel{n}") for n in range(1, len(pages) + 1)
        )
        facts = VendorFacts(reader=self.name, channels=channels, own_sizes=True)
        return Survey(facts, planes, [], list(problems), files)


def _pages(listing: Listing, file: str) -> list[int]:
    """Return the numbers of the planes of a file's first image, in the order of the pages."""
    images = read_contents(listing.folder, file)
    return sorted(p.page for p in images[0].each_plane() if p.file is None)

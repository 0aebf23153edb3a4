"""What a microscope reader is, and which one fits a folder; entry point: `choose`."""

from __future__ import annotations

from typing import ClassVar, Protocol, cast, runtime_checkable

from gpu_workers import registry
from gpu_workers.errors import FileError
from gpu_workers.formats.listing import Listing, aggregate
from gpu_workers.formats.survey import Survey
from gpu_workers.messages import Problem


@runtime_checkable
class Reader(Protocol):
    """A microscope format. Registered in the family ``readers``; made without arguments.

    A reader looks at names and the vendor's metadata files and never opens an image file: what
    files hold is asked for every format alike through `gpu_workers.formats.files`.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    help: ClassVar[str]
    VERSION: ClassVar[int]

    def score(self, listing: Listing) -> float:
        """Return how surely the files are this format's: 0 not at all, 1 certainly."""
        ...

    def survey(self, listing: Listing, pattern: str | None = None) -> Survey:
        """Return the planes the files hold; FileError where metadata can't be parsed."""
        ...


def load(name: str) -> Reader:
    """Return the reader registered as `name`; UserError if there is none."""
    return cast("Reader", registry.load("readers", name)())


def choose(listing: Listing, microscope: str | None = None, pattern: str | None = None) -> Reader:
    """Return the named reader, or the one that fits the files best.

    A given pattern without a named microscope means the pattern reader.

    Raises
    ------
    FileError
        No reader recognises anything.
    UserError
        No reader of that name.
    """
    if microscope:
        return load(microscope)
    if pattern:
        return load("pattern")
    scores = [(load(name).score(listing), name) for name in registry.names("readers")]
    best, name = max(scores, default=(0.0, ""))
    if best <= 0:
        tried = ", ".join(registry.names("readers"))
        raise FileError(
            f"none of the readers ({tried}) recognises the {len(listing.files)} files; "
            "name the microscope or give a pattern for the file names",
            code="no_reader",
            files=tuple(f.path for f in listing.files[:20]),
        )
    return load(name)


def survey_of(reader: Reader, listing: Listing, pattern: str | None) -> Survey:
    """Return what a reader finds, with problems for images without a place and a pattern without use."""
    survey = reader.survey(listing, pattern)
    if not any(p.code.startswith("unplaced") for p in survey.problems):
        survey.problems.extend(
            aggregate(
                "unplaced",
                "{n} {image has no place|images have no places} in the list of positions and {is|are} left out",
                survey.unplaced,
            )
        )
    if pattern and reader.name != "pattern":
        message = f"the {reader.name} reader doesn't use the pattern for file names"
        survey.problems.append(Problem(code="pattern_ignored", message=message))
    return survey


def require_planes(survey: Survey, listing: Listing) -> Survey:
    """Return the survey, or raise FileError if it has no plane at all."""
    if survey.planes:
        return survey
    reasons = "; ".join(p.message for p in survey.problems[:5])
    raise FileError(
        f"the {survey.facts.reader} reader finds no image among {len(listing.files)} files"
        + (f": {reasons}" if reasons else ""),
        code="no_images",
        files=tuple(name for p in survey.problems for name in p.files)[:20],
    )


__all__ = ["Reader", "choose", "load", "require_planes", "survey_of"]

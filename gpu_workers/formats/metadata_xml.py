"""XML that microscopes write, parsed safely and piece by piece; entry point: `elements`.

Only what was asked for is kept, and only until the next piece: the index of a plate of 100,000 images
is 170 MB of text. Whatever declares a document type is refused before anything of it is acted upon:
entities that expand or that name other files can't be declared elsewhere, and no microscope uses them.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from typing import Any, BinaryIO, Final
from xml.etree.ElementTree import Element, SubElement
from xml.parsers import expat

from gpu_workers.errors import FileError
from gpu_workers.formats.listing import FileEntry, Listing, open_below, shown

MAX_BYTES: Final = 2**31
MAX_DEPTH: Final = 200
_CHUNK: Final = 2**18
# An element of more than 2 MB is no record of one image.
MAX_CHUNKS: Final = 8


class _Refused(ValueError):
    """Why well-formed XML isn't accepted."""


class _Builder:
    """Collects the elements of some names, without name spaces; forgets everything else."""

    def __init__(self, names: Collection[str], heads: Collection[str]):
        self.done: list[Element] = []
        self._names = names
        self._heads = heads
        self._open: list[Element] = []
        self._depth = 0
        self._waited = 0
        self._text: list[str] = []
        self._parser: Any = expat.ParserCreate()
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.StartDoctypeDeclHandler = self._declaration
        self._parser.EntityDeclHandler = self._declaration

    def feed(self, chunk: bytes) -> None:
        """Take in the next piece of the file, nothing at its end."""
        self._parser.Parse(chunk, not chunk)
        self._waited = self._waited + 1 if self._open else 0
        if self._waited > MAX_CHUNKS:
            raise _Refused(f"one <{shown(self._open[0].tag)}> is absurdly large")

    @staticmethod
    def _declaration(*_: object) -> None:
        raise _Refused("it declares a document type or entities")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise _Refused(f"its elements are nested more than {MAX_DEPTH} deep")
        local = name.rpartition(":")[2] if ":" in name else name
        if self._open:
            self._open.append(SubElement(self._open[-1], local, _local(attributes)))
            self._text.clear()
        elif local in self._names:
            self._open.append(Element(local, _local(attributes)))
            self._waited = 0
            # Text outside of what was asked for isn't even looked at.
            self._parser.CharacterDataHandler = self._text.append
        elif local in self._heads:
            self.done.append(Element(local, _local(attributes)))

    def _end(self, _name: str) -> None:
        self._depth -= 1
        if not self._open:
            return
        element = self._open.pop()
        if not len(element):
            element.text = "".join(self._text).strip()
        self._text.clear()
        if not self._open:
            self._parser.CharacterDataHandler = None
            self.done.append(element)


def _local(attributes: dict[str, str]) -> dict[str, str]:
    return {k.rpartition(":")[2]: v for k, v in attributes.items()} if attributes else attributes


def elements(
    listing: Listing, entry: FileEntry, names: Collection[str], heads: Collection[str] = ()
) -> Iterator[Element]:
    """Yield the elements of some names in the order of the file, each with all that is in it.

    Names and attributes come without name spaces, text without white space around it; within one
    that was asked for, elements of the same names are parts of it. Of those called like one of
    `heads` only the attributes are given, before what is in them.

    Raises
    ------
    FileError
        It isn't there, isn't well-formed, declares entities, or is absurdly large (`bad_metadata`,
        `file_too_large`).
    """
    name = shown(entry.path)
    if entry.size > MAX_BYTES:
        raise FileError(
            f"{name} has {entry.size} bytes, too many for a metadata file",
            code="file_too_large", files=(name,),
        )  # fmt: skip
    with open_below(listing.folder, entry.path) as stream:
        yield from _parsed(stream, name, _Builder(names, heads))


def _parsed(stream: BinaryIO, name: str, builder: _Builder) -> Iterator[Element]:
    chunk = b"start"
    while chunk:
        chunk = stream.read(_CHUNK)
        try:
            builder.feed(chunk)
        except (expat.ExpatError, ValueError, LookupError) as error:
            raise FileError(
                f"{name} is not the XML it should be: {error}", code="bad_metadata", files=(name,)
            ) from error
        yield from builder.done
        builder.done.clear()


def fields(element: Element) -> dict[str, str]:
    """Return the text of an element's own parts by their names; the last of several counts."""
    return {part.tag: part.text or "" for part in element}


def number(text: str | None) -> float | None:
    """Return the finite number that a text is, or None."""
    try:
        value = float(text) if text else None
    except ValueError:
        return None
    return value if value is not None and math.isfinite(value) else None


def whole(text: str | None, default: int = 0) -> int:
    """Return the whole number of at most nine digits that a text is, or a default."""
    sign = -1 if text and text.startswith("-") else 1
    digits = (text or "").removeprefix("-")
    return sign * int(digits) if digits.isdecimal() and len(digits) <= 9 else default


def moment(text: str | None) -> float | None:
    """Return an ISO 8601 date and time as seconds since 1970, or None; without a zone it is UTC."""
    try:
        at = datetime.fromisoformat(text.strip()) if text else None
    except ValueError:
        return None
    if at is None:
        return None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


def elapsed(at: float | None, start: float | None) -> float | None:
    """Return the seconds between two moments to a millisecond, if both are known."""
    return None if at is None or start is None else round(at - start, 3)

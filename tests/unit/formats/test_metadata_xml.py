"""XML of microscopes: only what was asked for, whatever else is in the file, and nothing hostile."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_workers.errors import FileError
from gpu_workers.formats.listing import FileEntry, Listing, scan
from gpu_workers.formats.metadata_xml import elapsed, elements, fields, moment, number, whole

ANY_VALUE = st.text(st.characters(exclude_categories=("C",)), max_size=20)


def listing(folder: Path, text: str | bytes) -> tuple[Listing, FileEntry]:
    data = text.encode() if isinstance(text, str) else text
    (folder / "m.xml").write_bytes(data)
    found = scan(folder)
    return found, found.files[0]


def test_names_without_name_spaces(tmp_path: Path) -> None:
    text = (
        '<a:all xmlns:a="urn:x"><a:one a:k="v"><a:two>\n text </a:two></a:one><one k="w"/></a:all>'
    )

    first, second = elements(*listing(tmp_path, text), {"one"})

    assert (first.tag, first.attrib, fields(first)) == ("one", {"k": "v"}, {"two": "text"})
    assert second.attrib == {"k": "w"}


def test_heads_come_before_what_is_in_them(tmp_path: Path) -> None:
    text = '<root id="7"><part/><root id="8"/></root>'

    found = list(elements(*listing(tmp_path, text), {"part"}, {"root"}))

    assert [(e.tag, e.attrib.get("id"), len(e)) for e in found] == [
        ("root", "7", 0), ("part", None, 0), ("root", "8", 0),
    ]  # fmt: skip


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "iso-8859-1", "windows-1252"])
def test_encodings(tmp_path: Path, encoding: str) -> None:
    declared = encoding.removesuffix("-sig")
    text = f'<?xml version="1.0" encoding="{declared}"?><x><v>5 µm</v></x>'

    (found,) = elements(*listing(tmp_path, text.encode(encoding)), {"v"})

    assert found.text == "5 µm"


@given(st.dictionaries(st.from_regex("[a-z]{1,8}", fullmatch=True), ANY_VALUE, max_size=5))
def test_it_reads_what_python_writes(
    tmp_path_factory: pytest.TempPathFactory, values: dict[str, str]
) -> None:
    root = ElementTree.Element("x")
    record = ElementTree.SubElement(root, "record", values)
    for name, value in values.items():
        ElementTree.SubElement(record, name).text = value

    folder = tmp_path_factory.mktemp("xml")
    (found,) = elements(*listing(folder, ElementTree.tostring(root)), {"record"})

    assert found.attrib == values
    assert fields(found) == {k: v.strip() for k, v in values.items()}


@pytest.mark.parametrize(
    "hostile",
    [
        '<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>',
        '<!DOCTYPE x SYSTEM "http://example.org/x.dtd"><x/>',
        '<!DOCTYPE x [<!ENTITY % p SYSTEM "file:///etc/passwd"> %p;]><x/>',
        "<!DOCTYPE x><x/>",
        "<x>&undefined;</x>",
        "<x>" * 1000 + "</x>" * 1000,
        "<x><v>" + "<p/>" * 700_000 + "</v></x>",
        "<x><v>" + "text " * 600_000 + "</v></x>",
        "<x><v/>",
        "<x></y>",
        "",
        "no xml",
        '<?xml version="1.0" encoding="none-such"?><x/>',
    ],
)  # fmt: skip
def test_what_is_refused(tmp_path: Path, hostile: str) -> None:
    with pytest.raises(FileError) as caught:
        list(elements(*listing(tmp_path, hostile), {"v"}))

    assert caught.value.code == "bad_metadata"
    assert caught.value.files == ("m.xml",)
    assert "m.xml" in caught.value.message


@pytest.mark.parametrize("filler", ["<p a='1'>text</p>", "<v><p>7</p></v>", "text " * 20])
def test_memory_does_not_grow_with_the_file(tmp_path: Path, filler: str) -> None:
    files = listing(tmp_path, f"<x>{filler * (1_500_000 // len(filler))}</x>")

    tracemalloc.start()
    count = sum(1 for _ in elements(*files, {"v"}))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert count == (1_500_000 // len(filler) if "<v>" in filler else 0)
    assert peak < 10_000_000


def test_numbers() -> None:
    assert [number(t) for t in ("1.5", "-2e-6", "", None, "x", "nan", "inf")] == [
        1.5, -2e-6, None, None, None, None, None,
    ]  # fmt: skip
    assert [whole(t, 5) for t in ("7", "-7", "", None, "1.5", "1" * 10, "²")] == [
        7, -7, 5, 5, 5, 5, 5,
    ]  # fmt: skip


def test_moments() -> None:
    assert moment("1970-01-01T01:00:00.5+01:00") == 0.5
    assert moment("1970-01-01T00:01:00") == 60.0
    assert moment("2021-03-29T16:51:44.6444882-04:00") == pytest.approx(1617051104.644488)
    assert [moment(t) for t in (None, "", "yesterday", "0000-00-00")] == [None] * 4
    assert elapsed(2.0004, 1.0) == 1.0
    assert elapsed(None, 1.0) is None

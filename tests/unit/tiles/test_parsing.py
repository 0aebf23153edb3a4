"""What the tile application reads from a request, without a database."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.tiles.application.files import FILES, range_parse
from apps.tiles.application.responses import Refusal, is_fresh
from apps.tiles.application.waiting import Fresh
from apps.tiles.services import Claims, claims_read, claims_sign

CLAIMS = Claims(
    user="u", experiment="e", epoch=3, expires=10, plates=frozenset({"ab"}), object_types=None
)


def test_claims_come_back() -> None:
    assert claims_read(claims_sign(CLAIMS)) == CLAIMS


@given(st.text(max_size=200))
def test_nothing_unsigned_is_believed(text: str) -> None:
    assert claims_read(text) is None


@given(st.integers(0, 10**6), st.integers(1, 255))
def test_no_changed_byte_is_believed(position: int, change: int) -> None:
    text = claims_sign(CLAIMS)
    position %= len(text)
    changed = chr(ord(text[position]) ^ change)

    found = claims_read(text[:position] + changed + text[position + 1 :])

    # The last character of base64 carries bits that are not used.
    assert found is None or found == CLAIMS


@given(st.integers(0, 50), st.binary(max_size=20))
def test_any_range_header_gives_a_part_of_the_file(size: int, header: bytes) -> None:
    with suppress(Refusal):
        part = range_parse(b"bytes=" + header, size)
        assert 0 <= part.start <= part.stop <= size


@pytest.mark.parametrize("path", ["/zarr.json", "/0/zarr.json", "/12/c/0/1/2/33/4444"])
def test_files_of_an_image(path: str) -> None:
    assert FILES.fullmatch(path)


@given(st.from_regex(r"/[0-9a-z./%]{0,20}", fullmatch=True))
def test_no_other_path_is_a_file(path: str) -> None:
    if FILES.fullmatch(path):
        assert ".." not in path
        assert "//" not in path


def test_fresh_tags() -> None:
    assert is_fresh({b"if-none-match": b'"a", W/"b"'}, b'"b"')
    assert is_fresh({b"if-none-match": b"*"}, b'"b"')
    assert not is_fresh({b"if-none-match": b'"a"'}, b'"b"')
    assert not is_fresh({}, b'"b"')


async def test_many_who_ask_wait_for_one_answer() -> None:
    asked: list[int] = []

    async def load(key: int) -> int:
        asked.append(key)
        await asyncio.sleep(0.01)
        return key * 2

    fresh: Fresh[int, int] = Fresh(load, 0.2)

    assert await asyncio.gather(*[fresh.get(4) for _ in range(50)]) == [8] * 50
    assert asked == [4]
    await asyncio.sleep(0.25)
    assert fresh.peek(4) is None
    assert await fresh.get(4) == 8
    assert asked == [4, 4]


async def test_a_failure_is_asked_again_and_what_is_old_is_forgotten() -> None:
    failing = [True]

    async def load(key: int) -> int:
        if failing[0]:
            raise OSError
        return key

    fresh: Fresh[int, int] = Fresh(load, 10, maxsize=3)
    with pytest.raises(OSError):  # noqa: PT011
        await fresh.get(1)
    failing[0] = False

    assert [await fresh.get(i) for i in range(9)] == list(range(9))
    assert sum(fresh.peek(i) is not None for i in range(9)) <= 3

"""Damage to files: what hypothesis or atheris draws as numbers becomes changed bytes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from hypothesis import strategies as st

Change = tuple[int, int, int]
_NUMBERS: Final = (
    b"\xff\xff\xff\x7f", b"\x7f\xff\xff\xff", b"\xff\xff\xff\xff", b"\0\0\0\0", b"\0\0\0\x80",
    b"\xff\xff\xff\xff\xff\xff\xff\x7f", b"\0" * 8, b"\xff" * 8, b"\0\0\xc0\x7f", b"\0\0\0\0\0\0\xf0\x7f",
)  # fmt: skip
_TEXTS: Final = (
    b"-1", b"0", b"99999999999", b"1e400", b"nan", b"", b"\xc3\x28", b"../../etc/passwd", b"<", b"&a;",
    b"\xef\xbf\xbe", b"A1", b"null", b"[]", b"{}", b"2147483648", b"0.0000000000000000001",
)  # fmt: skip
_WORD: Final = re.compile(rb"[0-9][0-9.]*|[A-Za-z_]{2,}")

CHANGES: Final = st.lists(
    st.tuples(st.integers(0, 8), st.integers(0, 2**20), st.integers(0, 2**20)),
    min_size=1,
    max_size=6,
)


def damage(data: bytes, changes: Sequence[Change]) -> bytes:
    """Return data after changes: each is what to do, where, and a number for how.

    Most bytes of a small image file are zeros and pixels: half of all changes meet its beginning or
    its words.
    """
    for what, where, how in changes:
        if not data:
            break
        at = _position(data, where)
        if what == 0:
            data = data[:at] + bytes([how & 255]) + data[at + 1 :]
        elif what == 1:
            data = data[:at] + bytes([data[at] ^ (1 << how % 8)]) + data[at + 1 :]
        elif what in (2, 3):
            number = _NUMBERS[how % len(_NUMBERS)]
            data = data[:at] + number + data[at + len(number) :]
        elif what == 4:
            data = data[:at]
        elif what == 5:
            data = data[:at] + data[at + 1 + how % 64 :]
        elif what == 6:
            piece = data[at : at + 1 + how % 256]
            data = data[:at] + piece * (1 + how % 5) + data[at:]
        else:
            data = _word_replaced(data, where, _TEXTS[how % len(_TEXTS)])
    return data


def _position(data: bytes, where: int) -> int:
    kind, where = where % 4, where // 4
    if kind == 0:
        return where % min(len(data), 128)
    if kind == 1:
        return len(data) - 1 - where % min(len(data), 256)
    at = where * 2654435761 % len(data)
    # Not into long runs of zeros.
    while kind == 2 and at < len(data) - 1 and not data[at]:
        found = re.compile(rb"[^\0]").search(data, at)
        at = found.start() if found else len(data) - 1
    return at


def _word_replaced(data: bytes, where: int, text: bytes) -> bytes:
    # UTF-16, as LIF and ND2 have it, is looked at as its letters.
    wide = data.count(b"\0") > len(data) // 3 and b"<\0" in data[:64]
    words = list(_WORD.finditer(data[: 2**16].replace(b"\0", b"") if wide else data[: 2**16]))
    if not words:
        return data
    word = words[where % len(words)]
    old = word.group().decode().encode("utf-16-le") if wide else word.group()
    new = text.decode("latin-1").encode("utf-16-le") if wide else text
    start = data.find(old) if wide else word.start()
    return data if start < 0 else data[:start] + new + data[start + len(old) :]

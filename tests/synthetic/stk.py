"""A MetaMorph stack as the format's description has it: one page whose strips all planes follow."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

_JULIAN_2020 = 2458850


class _Behind:
    """What tags point to, behind the list of tags."""

    def __init__(self, place: int):
        self.place, self.content = place, bytearray()

    def put(self, content: bytes) -> int:
        at = self.place + len(self.content)
        self.content.extend(content + b"\0" * (len(content) % 2))
        return at


def _rational(value: float) -> bytes:
    return struct.pack("<II", round(value * 1000), 1000)


def _text(value: str) -> bytes:
    return struct.pack("<I", len(value) + 1) + value.encode() + b"\0"


def write_stk(
    path: Path,
    planes: np.ndarray,
    *,
    z_distance_um: float = 0.0,
    seconds: float = 0.0,
    wavelengths: list[float] | None = None,
    stage_um: tuple[float, float] | None = None,
    pixel_size_um: float | None = None,
    name: str = "GFP",
) -> None:
    """Write planes (n, y, x) of uint16; distances and times are those between planes."""
    n, height, width = planes.shape
    data = planes.astype("<u2").tobytes()
    n_tags, half = 15, height // 2
    behind = _Behind(8 + len(data) + 2 + 12 * n_tags + 4)
    uic1 = [(7, behind.put(_text(name)))]
    if pixel_size_um:
        size = behind.put(_rational(pixel_size_um))
        uic1 += [(3, 1), (4, size), (5, size), (6, behind.put(_text("um")))]
    uic1_at = behind.put(b"".join(struct.pack("<II", *pair) for pair in uic1))
    uic2 = b"".join(
        _rational(z_distance_um)
        + struct.pack("<4I", _JULIAN_2020, round(1000 * seconds * i), _JULIAN_2020, 0)
        for i in range(n)
    )
    uic3 = b"".join(_rational(w) for w in wavelengths or [0.0] * n)
    stage = struct.pack("<H", 28) + b"".join(map(_rational, stage_um)) * n if stage_um else b""
    uic4 = stage + struct.pack("<H", 0)
    sizes = half * width * 2, (height - half) * width * 2
    tags = [
        (254, 4, 1, 0), (256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 16), (259, 3, 1, 1),
        (262, 3, 1, 1), (273, 4, 2, behind.put(struct.pack("<II", 8, 8 + sizes[0]))),
        (277, 3, 1, 1), (278, 4, 1, half), (279, 4, 2, behind.put(struct.pack("<II", *sizes))),
        (339, 3, 1, 1),
        (33628, 4, len(uic1), uic1_at), (33629, 5, n, behind.put(uic2)),
        (33630, 5, n, behind.put(uic3)), (33631, 4, n, behind.put(uic4)),
    ]  # fmt: skip
    assert len(tags) == n_tags
    assert height % 2 == 0
    header = struct.pack("<2sHI", b"II", 42, 8 + len(data))
    listed = struct.pack("<H", n_tags) + b"".join(struct.pack("<HHII", *tag) for tag in tags)
    path.write_bytes(header + data + listed + struct.pack("<I", 0) + bytes(behind.content))

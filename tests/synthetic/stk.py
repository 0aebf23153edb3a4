"""A MetaMorph stack as the format's description has it: one page whose strips all planes follow."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

_JULIAN_2020 = 2458850


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
    parts: list[bytes] = [struct.pack("<2sHI", b"II", 42, 8 + len(data)), data]
    # The list of tags comes behind the pixels, what it points to behind that.
    n_tags = 15
    place = 8 + len(data) + 2 + 12 * n_tags + 4
    behind = bytearray()

    def put(content: bytes) -> int:
        at = place + len(behind)
        behind.extend(content + b"\0" * (len(content) % 2))
        return at

    def rational(value: float) -> bytes:
        return struct.pack("<II", round(value * 1000), 1000)

    def text(value: str) -> bytes:
        return struct.pack("<I", len(value) + 1) + value.encode() + b"\0"

    uic1 = [(7, put(text(name)))]
    if pixel_size_um:
        size = put(rational(pixel_size_um))
        uic1 += [(3, 1), (4, size), (5, size), (6, put(text("um")))]
    uic1_at = put(b"".join(struct.pack("<II", *pair) for pair in uic1))
    uic2 = b"".join(
        rational(z_distance_um)
        + struct.pack("<4I", _JULIAN_2020, round(1000 * seconds * i), _JULIAN_2020, 0)
        for i in range(n)
    )
    waves = wavelengths or [0.0] * n
    uic3 = b"".join(rational(w) for w in waves)
    uic4 = b""
    if stage_um:
        uic4 += struct.pack("<H", 28) + (rational(stage_um[0]) + rational(stage_um[1])) * n
    uic4 += struct.pack("<H", 0)
    half = height // 2
    tags = [
        (254, 4, 1, 0), (256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 16), (259, 3, 1, 1),
        (262, 3, 1, 1), (273, 4, 2, put(struct.pack("<II", 8, 8 + half * width * 2))),
        (277, 3, 1, 1), (278, 4, 1, half),
        (279, 4, 2, put(struct.pack("<II", half * width * 2, (height - half) * width * 2))),
        (339, 3, 1, 1),
        (33628, 4, len(uic1), uic1_at), (33629, 5, n, put(uic2)), (33630, 5, n, put(uic3)),
        (33631, 4, n, put(uic4)),
    ]  # fmt: skip
    assert len(tags) == n_tags
    assert height % 2 == 0
    parts.append(struct.pack("<H", n_tags))
    parts += [struct.pack("<HHII", *tag) for tag in tags]
    path.write_bytes(b"".join(parts) + struct.pack("<I", 0) + bytes(behind))

"""A reader of vector tiles, written from the specification (2.1) and nothing else."""

from __future__ import annotations

from dataclasses import dataclass

Ring = list[tuple[int, int]]  # (x, y)


@dataclass(frozen=True, slots=True)
class Layer:
    name: str
    version: int
    extent: int
    features: dict[int, list[Ring]]


def fields(data: bytes) -> list[tuple[int, int | bytes]]:
    """Split a protobuf message into (field number, value)."""
    at, found = 0, []

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(data):
        tag = varint()
        if tag & 7 == 0:
            found.append((tag >> 3, varint()))
        else:
            assert tag & 7 == 2
            n = varint()
            found.append((tag >> 3, data[at : at + n]))
            at += n
    assert at == len(data)
    return found


def integers(data: bytes) -> list[int]:
    values, value, shift = [], 0, 0
    for byte in data:
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            values.append(value)
            value = shift = 0
    return values


def rings(commands: list[int]) -> list[Ring]:
    found: list[Ring] = []
    ring: Ring = []
    x = y = i = 0
    while i < len(commands):
        command, count = commands[i] & 7, commands[i] >> 3
        i += 1
        if command == 7:
            assert count == 1
            found.append(ring)
            ring = []
            continue
        assert command in (1, 2)
        for _ in range(count):
            dx, dy = ((v >> 1) ^ -(v & 1) for v in commands[i : i + 2])
            x, y = x + dx, y + dy
            ring.append((x, y))
            i += 2
    assert not ring
    return found


def area(ring: Ring) -> float:
    """Signed area by the surveyor's formula; positive for an outer ring."""
    return (
        sum(a[0] * b[1] - b[0] * a[1] for a, b in zip(ring, ring[1:] + ring[:1], strict=True)) / 2
    )


def read(data: bytes) -> list[Layer]:
    layers = []
    for number, body in fields(data):
        assert number == 3
        assert isinstance(body, bytes)
        values = fields(body)
        features = {}
        for key, value in values:
            if key != 2:
                continue
            assert isinstance(value, bytes)
            feature = dict(fields(value))
            assert feature[3] == 3  # polygon
            features[int(feature[1])] = rings(integers(feature[4]))  # type: ignore[arg-type]
        single = {k: v for k, v in values if k != 2}
        layers.append(
            Layer(single[1].decode(), int(single[15]), int(single[5]), features)  # type: ignore[union-attr, arg-type]
        )
    return layers

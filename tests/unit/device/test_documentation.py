"""``docs/gpu.md`` names every operation with its tolerance, and every module that works on a device."""

from __future__ import annotations

import re
from pathlib import Path

from gpu_workers import registry
from gpu_workers.imaging.device.comparison import CASES

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "gpu.md").read_text()


def test_every_operation_and_its_tolerance() -> None:
    rows = re.findall(r"^\| `([\w.]+)` \| (\S+) \| (.+) \|$", PAGE, re.MULTILINE)

    expected = {
        (
            f"{c.operation.__module__}.{c.name}".removeprefix("gpu_workers.imaging."),
            f"{c.tolerance:.0e}".replace("e-0", "e-") if c.tolerance else "equal",
            c.why,
        )
        for c in CASES
    }
    assert set(rows) == expected


def test_every_module() -> None:
    part = PAGE.split("## Modules that work on a device")[1].split("The other modules")[0]

    named = set(re.findall(r"`(\w+)`", part))
    every = {n: registry.load("modules", n) for n in registry.BUILT_IN["modules"]}
    assert named == {n for n, m in every.items() if m.device}

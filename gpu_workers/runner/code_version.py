"""Which code made a result: version of the package and, in a checkout, the commit."""

from __future__ import annotations

import os
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def _commit(folder: Path) -> str:
    head = (folder / "HEAD").read_text().strip()
    if not head.startswith("ref: "):
        return head
    name = head[5:]
    if (folder / name).is_file():
        return (folder / name).read_text().strip()
    packed = (folder / "packed-refs").read_text().splitlines()
    return next(line.split()[0] for line in packed if line.endswith(f" {name}"))


@cache
def code_version() -> str:
    """Return for example ``0.1.0+g1a2b3c4d``; `TISSUEMAPS_COMMIT` names the commit of an image."""
    try:
        release = version("tissuemaps")
    except PackageNotFoundError:
        release = "0"
    commit = os.environ.get("TISSUEMAPS_COMMIT", "")
    if not commit:
        try:
            commit = _commit(Path(__file__).resolve().parents[2] / ".git")
        except (OSError, StopIteration):
            return release
    return f"{release}+g{commit[:8]}"

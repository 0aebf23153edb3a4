"""The real microscopy data beside the checkout (`../shared/data`); never copied into the repository."""

from __future__ import annotations

import os
import tarfile
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(
    os.environ.get("TISSUEMAPS_TEST_DATA", Path(__file__).resolve().parents[2] / "shared" / "data")
)


def data_set(name: str) -> Path:
    """Return the folder of a data set; skip the test without it, fail it where ``CI=true``."""
    folder = ROOT / name
    if not folder.is_dir():
        reason = f"the data set {name} is not in ../shared/data"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return folder


@cache
def _unpack(archive: Path, target: Path) -> Path:
    with tarfile.open(archive) as tar:
        # Python before 3.11.4 has no filters; the archives are our own.
        tar.extractall(target, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
    return target


def unpacked(name: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the unpacked ``images.tar.xz`` or ``tiles.tar.xz`` of a data set, once a session."""
    archive = next(data_set(name).glob("*.tar.xz"))
    return _unpack(archive, tmp_path_factory.getbasetemp().parent / f"tm-data-{os.getpid()}-{name}")

"""Every call of cupy and cucim exists and has its parameters, by the committed snapshot."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.repo.device_calls import ROOTS, SNAPSHOT, problems_in, signature, uses_in

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "gpu_workers").rglob("*.py")) + sorted((ROOT / "tissuemaps").rglob("*.py"))


def test_the_snapshot_names_its_versions_and_is_small() -> None:
    packages = json.loads(SNAPSHOT.read_text())["packages"]

    assert packages["cupy-cuda12x"].startswith("14.")
    assert packages["cucim-cu12"].startswith("26.")
    assert SNAPSHOT.stat().st_size < 300_000


def test_no_call_of_ours_names_what_the_libraries_lack() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{problem}"
        for path in FILES
        if any(word in (text := path.read_text()) for word in (*ROOTS, "xp"))
        for problem in problems_in(text)
    ]

    assert not found, "\n".join(found)


def test_the_device_halves_are_seen_by_the_checker() -> None:
    used = set[str]()
    for path in (ROOT / "gpu_workers" / "imaging" / "device").glob("*.py"):
        used |= uses_in(path.read_text())

    assert {"cupy.RawKernel", "cupyx.scipy.ndimage.gaussian_filter", "cupy.bincount"} <= used


HEAD = (
    "from gpu_workers.xp import namespace, ndimage\n\ndef half(image):\n    xp = namespace(image)\n"
)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("xp.asaray(image)", "cupy.asaray does not exist"),
        ("ndimage(image).gauss_filter(image, 2)", "gauss_filter does not exist"),
        ("xp.zeros((3, 3), dtyp=int)", "has no parameter 'dtyp'"),
        ("xp.bincount(image, None, 3, 4)", "takes 3 positional arguments, not 4"),
        ("xp.zeros()", "misses 'shape'"),
        ("xp.zeros((3,), shape=(3,))", "gets 'shape' twice"),
        ("xp.sqrt(image, image, image)", "takes 1 arrays, not 3"),
        ("xp.sqrt(image, keepdims=True)", "has no parameter 'keepdims'"),
        ("ndimage(image).median_filter(image, sizes=3)", "has no parameter 'sizes'"),
        ("table = xp.float23", "cupy.float23 does not exist"),
        ("xp.cuda.Stream(blocking=False)", "has no parameter 'blocking'"),
        ("xp.cuda.Stream.halt", "cupy.cuda.Stream.halt does not exist"),
        ("xp.linalg.normal(image)", "cupy.linalg.normal does not exist"),
    ],
)
def test_a_call_that_cannot_work_is_found(line: str, complaint: str) -> None:
    found = list(problems_in(f"{HEAD}    {line}\n"))

    assert len(found) == 1, found
    assert found[0].startswith("5: ")
    assert complaint in found[0]


@pytest.mark.parametrize(
    "line",
    [
        "xp.zeros((3, 3), xp.int32)",
        "xp.zeros(shape=(3, 3))",
        "xp.sqrt(image, out=image)",
        "xp.maximum(image, 3, image)",
        "xp.concatenate(*image)",
        "ndimage(image).gaussian_filter(image, 2.0, mode='nearest', truncate=4.0)",
        "xp.cuda.runtime.getDeviceCount()",
        "xp.cuda.Stream(non_blocking=True)",
        "image.anything(at=all)",
    ],
)
def test_a_call_that_works_is_left_alone(line: str) -> None:
    assert list(problems_in(f"{HEAD}    {line}\n")) == []


@pytest.mark.parametrize(
    "source",
    [
        "import cupy\ncupy.nothing",
        "import cupy as cp\ncp.nothing()",
        "import cupyx.scipy.ndimage\ncupyx.scipy.ndimage.nothing",
        "from cupyx.scipy import ndimage\nndimage.nothing(1)",
        "from importlib import import_module\nimport_module('cupy').nothing",
        "from importlib import import_module\nc = import_module('cupy')\nc.nothing",
        "from gpu_workers import xp as seam\nseam.namespace(1).nothing",
        "def f(xp, image):\n    return xp.nothing(image)",
    ],
)
def test_every_way_to_name_a_library_is_followed(source: str) -> None:
    assert len(list(problems_in(source))) == 1


@pytest.mark.parametrize(
    "source",
    [
        "from scipy import ndimage\nndimage.nothing(1)",
        "from gpu_workers import xp\nxp.to_host(1)",
        "import numpy as np\nnp.nothing",
    ],
)
def test_other_libraries_are_not_its_business(source: str) -> None:
    assert list(problems_in(source)) == []


def test_positions_names_and_stars_are_read() -> None:
    known = signature("(/a, b, c=, *rest, d=, **more)")

    assert known.positional == ("a", "b", "c")
    assert known.required == {"a", "b"}
    assert known.names == {"b", "c", "d"}
    assert known.any_position
    assert known.any_name

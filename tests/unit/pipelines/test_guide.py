"""The guide's pipeline and its notebook run as they stand there."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

PAGE = Path(__file__).resolve().parents[3] / "docs" / "pipelines.md"


def block(language: str) -> str:
    found = re.search(rf"^```{language}\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


def test_the_guide_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "two-stains.yaml").write_text(block("yaml"))
    monkeypatch.chdir(tmp_path)
    dapi, gfp = np.full((80, 90), 100, np.uint16), np.full((80, 90), 100, np.uint16)
    for y, x in ((15, 20), (50, 60)):
        dapi[y : y + 12, x : x + 12] = 900
        gfp[y - 4 : y + 16, x - 4 : x + 16] = 500
    known: dict[str, object] = {"dapi": dapi, "gfp": gfp}

    exec(compile(block("python"), str(PAGE), "exec"), known)

    columns = known["cells"].columns  # type: ignore[attr-defined]
    assert columns["Mean_Nuclei_Intensity_mean_GFP"].tolist() == [500, 500]
    assert columns["Count_Nuclei"].tolist() == [1, 1]
    assert columns["Intensity_mean_GFP"].min() > 400

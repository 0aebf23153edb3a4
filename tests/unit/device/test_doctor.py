"""``./run doctor --gpu``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from gpu_workers import xp
from gpu_workers.imaging import labels
from gpu_workers.imaging.device import comparison
from gpu_workers.imaging.device.comparison import CASES, simulated
from tissuemaps.cli.doctor_gpu import doctor_gpu
from tissuemaps.cli.main import build_parser, main
from tissuemaps.embedded.errors import StartError


def _rows(text: str) -> dict[str, str]:
    """Return operation -> verdict of the last table."""
    names = {c.name for c in CASES}
    lines = (line.split(maxsplit=6) for line in text.splitlines() if line.strip())
    return {words[0]: words[-1] for words in lines if words[0] in names}


def test_every_operation_is_a_line_on_simulated_and_real_pixels(
    device: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tifffile.imwrite(tmp_path / "site.tif", simulated((90, 120), seed=3))

    code = doctor_gpu(tmp_path / "site.tif", side=120, times=1)

    text = capsys.readouterr().out
    assert code == 0, text
    assert _rows(text) == {c.name: "ok" for c in CASES}
    assert "site.tif, 90 x 120 px" in text
    assert f"0 of {2 * len(CASES)} comparisons" in text


def test_a_difference_is_told_and_is_the_exit_code(
    device: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    strict = comparison.Case(labels.relabel, lambda s: (s.labels,), -1.0, "never met")
    broken = comparison.Case(labels.lookup, lambda s: (s.labels, None), 0, "no table")
    monkeypatch.setattr(comparison, "CASES", (strict, broken))

    code = doctor_gpu(side=64, times=1)

    text = capsys.readouterr().out
    assert code == 1
    assert "DIFFERS" in text
    assert "FAILED" in text
    assert "2 of 2 comparisons differ or failed" in text


@pytest.mark.skipif(xp.has_gpu(), reason="there is a device here")
def test_without_a_device_nothing_is_claimed(capsys: pytest.CaptureFixture[str]) -> None:
    code = doctor_gpu(side=64)

    assert code == 0
    assert "nothing was compared" in capsys.readouterr().out


def test_a_file_that_is_no_image_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes.tif").write_text("nothing")

    with pytest.raises(StartError, match=r"notes\.tif"):
        doctor_gpu(tmp_path / "notes.tif", side=64)
    assert main(["doctor", "--gpu", "--image", str(tmp_path / "notes.tif")]) == 1
    assert "notes.tif" in capsys.readouterr().err


def test_the_command_line_knows_it() -> None:
    assert build_parser().parse_args(["doctor", "--gpu"]).gpu
    assert not build_parser().parse_args(["doctor"]).gpu


def test_a_simulated_image_shows_nuclei() -> None:
    found = comparison.scene(simulated((200, 260)))

    assert found.image.dtype == np.uint16
    assert 5 < found.labels.max() < 30

"""Our kernels are CUDA C that NVIDIA's run-time compiler takes; it needs cupy, but no device."""

from __future__ import annotations

import pytest

from gpu_workers.imaging.device import launching

FILES = sorted(p.stem for p in launching.SOURCES.glob("*.cu"))


@pytest.mark.parametrize("file", FILES)
def test_nvidias_compiler_takes_our_kernels(file: str) -> None:
    nvrtc = pytest.importorskip("cupy.cuda.nvrtc", reason="cupy is not installed")
    program = nvrtc.createProgram(launching.source(file), f"{file}.cu", [], [])

    nvrtc.compileProgram(program, ["--gpu-architecture=compute_80", *launching.OPTIONS])

    assert nvrtc.getProgramLog(program).strip() == ""

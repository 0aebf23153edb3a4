"""Our kernels are CUDA C that NVIDIA's run-time compiler takes; it needs cupy, but no device."""

from __future__ import annotations

import pytest

from gpu_workers.imaging.device import launching

FILES = sorted(p.stem for p in launching.SOURCES.glob("*.cu"))


@pytest.mark.parametrize("architecture", ["compute_80", "compute_90"])
@pytest.mark.parametrize("file", FILES)
def test_nvidias_compiler_takes_our_kernels(file: str, architecture: str) -> None:
    pytest.importorskip("cupy", reason="cupy is not installed")
    from cupy.cuda import nvrtc

    program = nvrtc.createProgram(launching.source(file), f"{file}.cu", [], [])

    options = [f"--gpu-architecture={architecture}", *launching.OPTIONS]
    nvrtc.compileProgram(program, options)

    assert nvrtc.getProgramLog(program).strip() == ""

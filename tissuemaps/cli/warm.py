"""Compile the kernels into numba's cache by analysing a tiny plate: ``python -m tissuemaps.cli.warm``."""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from pathlib import Path
from uuid import UUID, uuid4

STEPS = ("metaextract", "metaconfig", "imextract", "corilla", "illuminati", "jterator")
PACKAGE = Path(__file__).resolve().parents[2] / "gpu_workers"


def _fingerprint() -> str:
    """Return a digest of all code that kernels are compiled from."""
    from importlib.metadata import version

    whole = hashlib.sha256(f"{version('numba')} {sys.version}".encode())
    for file in sorted(PACKAGE.rglob("*.py")):
        whole.update(file.read_bytes())
    return whole.hexdigest()


def analyse_tiny_plate(root: Path, **plate: object) -> dict[str, str]:
    """Run every step on a simulated plate below `root`, in this process; return the products."""
    from gpu_workers.messages import AcquisitionDescription, ExperimentDescription
    from gpu_workers.runner.execute import run_step
    from tissuemaps.cli.simulate import simulate_plate

    identifier = UUID(int=1)
    simulate_plate(
        root / "uploads" / str(identifier), rows=1, columns=1, vendor="imagexpress", threads=1,
        **{"sites": (1, 2), "size": 192, "density": 400.0, **plate},  # type: ignore[arg-type]
    )  # fmt: skip
    acquisition = AcquisitionDescription(
        id=identifier,
        name="tiny",
        plate=UUID(int=2),
        plate_name="tiny",
        index=0,
        folder=f"uploads/{identifier}",
    )
    experiment = ExperimentDescription(id=uuid4(), name="tiny", acquisitions=(acquisition,))
    inputs: dict[str, str] = {}
    for name in STEPS:
        output, _ = run_step(root, name, experiment, {}, inputs)
        inputs.update(output.products)
    return inputs


def main() -> int:
    """Warm the cache that ``NUMBA_CACHE_DIR`` names, unless this very code did already."""
    folder = os.environ.get("NUMBA_CACHE_DIR")
    if not folder:
        sys.stderr.write("NUMBA_CACHE_DIR does not name a folder\n")
        return 2
    stamp, fingerprint = Path(folder) / "warmed", _fingerprint()
    if stamp.is_file() and stamp.read_text() == fingerprint:
        return 0
    with tempfile.TemporaryDirectory() as root:
        analyse_tiny_plate(Path(root))
    stamp.write_text(fingerprint)
    return 0


if __name__ == "__main__":
    sys.exit(main())

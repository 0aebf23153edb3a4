"""Small plates in several formats, and a whole conversion in one call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import tifffile

from gpu_workers.messages import AcquisitionDescription, ExperimentDescription, Json, Problem
from gpu_workers.runner.execute import run_step
from gpu_workers.storage import tables
from gpu_workers.storage.layout import Layout, load_layout, planes_path
from gpu_workers.storage.plates import Plates


def image(
    seed: int, size: tuple[int, int] = (64, 80), dtype: str = "uint16"
) -> np.ndarray[Any, Any]:
    """Return random pixels of any kept type."""
    rng = np.random.default_rng(seed)
    if dtype == "float32":
        return rng.random(size, dtype="float32")
    return rng.integers(0, np.iinfo(dtype).max, size, dtype=dtype)


def write_images(folder: Path, names: Sequence[str], **how: Any) -> Path:
    """Write one TIFF file of other pixels for each name."""
    for seed, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(path, image(seed, **how), photometric="minisblack")
    return folder


def experiment(
    *folders: Path | str, plates: Sequence[int] | None = None, mode: str = "basic", **fields: Any
) -> ExperimentDescription:
    """Return an experiment of one acquisition per folder; `plates` says to which plate each belongs."""
    numbers = plates or range(len(folders))
    acquisitions = tuple(
        AcquisitionDescription(
            id=UUID(int=(n + 1) << 100),
            name=f"acquisition {n}",
            plate=UUID(int=(plate + 100) << 100),
            plate_name=f"plate {plate}",
            index=n,
            folder=str(folder),
            **fields,
        )
        for n, (folder, plate) in enumerate(zip(folders, numbers, strict=True))
    )
    return ExperimentDescription(
        id=UUID(int=7), name="test", acquisition_mode=mode, acquisitions=acquisitions
    )


@dataclass(frozen=True, slots=True)
class Converted:
    """What the three steps made of an experiment."""

    root: Path
    inputs: dict[str, str]
    problems: list[Problem]
    outputs: dict[str, Json]

    @property
    def layout(self) -> Layout:
        return load_layout(self.root, self.inputs["layout"])

    @property
    def planes(self) -> list[Json]:
        return tables.read_table(self.root / planes_path(self.layout.key)).to_pylist()

    @property
    def plates(self) -> Plates:
        return Plates.open(self.root, self.inputs["plates"])

    @property
    def codes(self) -> set[str]:
        return {p.code for p in self.problems}

    def files(self, code: str) -> set[str]:
        """Return the files that problems of one code name."""
        return {f for p in self.problems if p.code == code for f in p.files}


def convert(
    root: Path,
    description: ExperimentDescription,
    *,
    layout: Json | None = None,
    images: Json | None = None,
    until: str = "imextract",
) -> Converted:
    """Run metaextract, metaconfig and imextract."""
    inputs: dict[str, str] = {}
    problems: list[Problem] = []
    outputs: dict[str, Json] = {}
    steps = {"metaextract": {"batch_size": 7}, "metaconfig": layout, "imextract": images}
    for name, arguments in steps.items():
        result, found = run_step(root, name, description, arguments or {}, inputs)
        inputs |= result.products
        problems += found
        outputs[name] = result.output
        if name == until:
            break
    return Converted(root, inputs, problems, outputs)

"""What a run on plain files leaves: labels, measurements, a report; entry points: `Results`, `write_all`."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gpu_workers.messages import Json
from gpu_workers.pipelines.prepared import ObjectsFound, Outcome, Prepared
from gpu_workers.storage import paths
from gpu_workers.storage.tables import write_table

_PACKAGES: Final = (
    "tissuemaps",
    "numpy",
    "scipy",
    "scikit-image",
    "opencv-python-headless",
    "numba",
)


@dataclass(frozen=True, slots=True)
class Measured:
    """The objects of one type in one image.

    Attributes
    ----------
    label
        uint32 (n,): numbers in the label image that was written.
    columns
        Feature -> float64 (n,).
    is_border
        bool (n,): whether the object touches the edge of the image.
    """

    label: NDArray[np.uint32]
    columns: Mapping[str, NDArray[np.float64]]
    is_border: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Results:
    """What one image gave; small enough to be sent between processes."""

    stem: str
    objects: Mapping[str, Measured]
    seconds: tuple[float, ...]
    read_s: float
    write_s: float

    @classmethod
    def of(
        cls,
        stem: str,
        outcome: Outcome,
        numbers: Mapping[str, NDArray[np.int64]],
        read_s: float,
        write_s: float,
    ) -> Results:
        """Return the measurements of an outcome; `numbers` are the files' own labels, if given."""
        objects = {n: _measured(found, numbers.get(n)) for n, found in outcome.objects.items()}
        return cls(stem, objects, outcome.seconds, read_s, write_s)


def _edge_labels(labels: NDArray[np.int32], n: int) -> NDArray[np.bool_]:
    """Return for labels 0…n whether they touch the sides of the image (not first or last planes)."""
    touches = np.zeros(n + 1, np.bool_)
    for edge in (labels[..., :1, :], labels[..., -1:, :], labels[..., :1], labels[..., -1:]):
        touches[np.unique(edge)] = True
    return touches


def _measured(found: ObjectsFound, numbers: NDArray[np.int64] | None) -> Measured:
    labels = found.labels
    n = int(labels.max()) if labels.size else 0
    present = np.flatnonzero(np.bincount(labels.ravel(), minlength=n + 1)[1:])
    border = _edge_labels(labels, n)[1:] if labels.size else np.zeros(0, np.bool_)
    own = present + 1 if numbers is None else numbers[present]
    columns = {name: np.asarray(c, np.float64)[present] for name, c in found.columns.items()}
    return Measured(own.astype(np.uint32), columns, border[present])


def write_labels(
    out: Path, stem: str, outcome: Outcome, numbers: Mapping[str, NDArray[np.int64]]
) -> None:
    """Write ``labels/<type>/<stem>.tif`` (uint32, the labels of the measurements) for each type."""
    for name, found in outcome.objects.items():
        image = found.labels.astype(np.uint32)
        own = numbers.get(name)
        if own is not None and own.size:
            image = np.concatenate([[0], own]).astype(np.uint32)[image]
        _write_tiff(out / "labels" / name / f"{stem}.tif", image)


def write_images(out: Path, stem: str, outcome: Outcome) -> None:
    """Write ``images/<name>/<stem>.tif`` for each image that the pipeline keeps."""
    for name, image in outcome.images.items():
        if image is not None:
            _write_tiff(out / "images" / name / f"{stem}.tif", image)


def _write_tiff(path: Path, image: NDArray[Any]) -> None:
    import io

    import tifffile

    buffer = io.BytesIO()
    tifffile.imwrite(buffer, image, compression="zlib", photometric="minisblack")
    paths.write_atomically(path, buffer.getvalue())


def _write_features(path: Path, name: str, prepared: Prepared, results: Sequence[Results]) -> int:
    """Write the measurements of one type over all images; returns the number of objects."""
    features = [f.name for f in prepared.features[name]]
    tables = [(r.stem, r.objects[name]) for r in results]
    columns: dict[str, Any] = {
        "image": [stem for stem, table in tables for _ in range(table.label.size)],
        "label": np.concatenate([t.label for _, t in tables]) if tables else np.zeros(0, np.uint32),
    }
    for feature in features:
        columns[feature] = np.concatenate([t.columns[feature] for _, t in tables])
    columns["is_border"] = np.concatenate([t.is_border for _, t in tables])
    types = {"image": "string", "label": "uint32"} | dict.fromkeys(features, "double")
    write_table(path, columns, types | {"is_border": "bool"})
    return len(columns["image"])


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def report(prepared: Prepared, results: Sequence[Results], facts: Json) -> Json:
    """Return what ``run.json`` says: versions, parameters, seconds per module, numbers of objects."""
    seconds = np.array([r.seconds for r in results]).reshape(len(results), len(prepared.uses))
    modules = [
        {
            "module": use.module.name,
            "version": use.module.VERSION,
            "where": use.where,
            "arguments": use.arguments.model_dump(mode="json"),
            "seconds": round(float(total), 6),
        }
        for use, total in zip(prepared.uses, seconds.sum(axis=0), strict=True)
    ]
    return {
        "version": 1,
        "versions": _versions(),
        "pipeline": prepared.pipeline.model_dump(mode="json"),
        "channels": list(prepared.channels),
        "modules": modules,
        "sources": prepared.sources(),
        "features": {
            name: [{"name": f.name, "unit": f.unit} for f in features]
            for name, features in prepared.features.items()
        },
        "images": [
            {
                "image": r.stem,
                "objects": {name: int(t.label.size) for name, t in r.objects.items()},
                "seconds": round(float(sum(r.seconds)), 6),
                "read_s": round(r.read_s, 6),
                "write_s": round(r.write_s, 6),
            }
            for r in results
        ],
        **facts,
    }


def write_all(out: Path, prepared: Prepared, results: Sequence[Results], facts: Json) -> Json:
    """Write ``features/<type>.parquet`` and ``run.json``; returns what the report says."""
    totals = {}
    for name in prepared.features:
        path = out / "features" / f"{name}.parquet"
        totals[name] = _write_features(path, name, prepared, results)
    told = report(prepared, results, {**facts, "objects": totals})
    paths.write_json(out / "run.json", told)
    return told

"""Feature values that other libraries measured on hand-drawn nuclei, and which of ours equal them."""

from __future__ import annotations

import csv
import gzip
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache

import numpy as np
import tifffile

from gpu_workers.imaging.features.description import FeatureDescription
from tests.data_sets import data_set

FILES = {
    "cp_measure": "cp_measure_0.3.0.csv.gz",
    "scikit-image": "scikit-image_0.26.0.csv",
    "mahotas": "mahotas_1.4.19.csv.gz",
}


@cache
def peer_values(peer: str) -> dict[str, dict[str, np.ndarray]]:
    """Return image -> column (without the family's prefix) -> values in the order of labels."""
    file = data_set("feature_peer_values_dev") / FILES[peer]
    data = file.read_bytes()
    text = (gzip.decompress(data) if file.suffix == ".gz" else data).decode()
    rows: dict[str, list[dict[str, str]]] = {}
    for row in csv.DictReader(text.splitlines()):
        rows.setdefault(row.pop("image"), []).append(row)
    return {
        image: {
            name.rpartition(".")[2]: np.array([float(r[name] or "nan") for r in own])
            for name in own[0]
        }
        for image, own in rows.items()
    }


@cache
def peer_images() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return image -> intensities (8 bit) and labels 1…n."""
    import imageio.v3 as imageio

    folder = data_set("nuclei_dsb2018_dev")
    found = {}
    for name in peer_values("cp_measure"):
        image = imageio.imread(folder / "images" / name)[..., 0]
        labels = tifffile.imread(folder / "labels" / name.replace(".png", ".tif"))
        found[name] = (image, labels.astype(np.int32))
    return found


def shared_columns(
    descriptions: Iterable[FeatureDescription], names: Iterable[str]
) -> Iterator[tuple[str, str, str]]:
    """Return (our name, peer, its column) of every feature that a description calls equal."""
    patterns = [
        (re.compile(re.sub(r"\\{(\w+)\\}", r"(?P<\1>\\d+)", re.escape(d.name))), d)
        for d in descriptions
    ]
    for name in names:
        for pattern, description in patterns:
            match = pattern.fullmatch(name)
            if match is None:
                continue
            for peer, column in description.peers.items():
                yield name, peer, column.format(**match.groupdict())


def assert_equal(
    ours: Mapping[str, np.ndarray],
    descriptions: Iterable[FeatureDescription],
    image: str,
    scales: Mapping[str, np.ndarray] | None = None,
    relative: float = 1e-6,
) -> list[str]:
    """Compare each shared feature of one image's nuclei; return the columns that were compared.

    The files hold nine digits and the goal is 1e-6 of the value; a value within 1e-9 of 0 (times the
    feature's natural size in `scales`) counts as 0: both sides round sums that cancel.
    """
    compared = []
    for name, peer, column in shared_columns(descriptions, ours):
        expected = peer_values(peer).get(image, {}).get(column)
        if expected is None:
            continue
        scale = (scales or {}).get(name, np.ones(1))
        difference = np.abs(ours[name] - expected)
        is_close = difference <= np.maximum(relative * np.abs(expected), 1e-9 * scale)
        is_close |= np.isnan(ours[name]) & np.isnan(expected)
        assert is_close.all(), (image, name, peer, ours[name][~is_close], expected[~is_close])
        compared.append(f"{peer}: {column}")
    return compared

"""Networks that find objects; entry points: `load_network`, `check_network` and `predict`.

The libraries that run them are optional (extras ``onnx``, ``stardist``, ``cellpose``) and imported
when a network is first used.
"""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from gpu_workers.errors import UserError
from gpu_workers.models.weights import ModelCard, find_weights, missing, read_card

Image = NDArray[np.float32]
Kind = Literal["stardist", "cellpose"]


class Network(Protocol):
    """A network with its weights.

    Attributes
    ----------
    card
        What is known of it.
    """

    card: ModelCard

    def run(self, image: Image) -> Image:
        """Return its outputs (channels, rows, columns) for an image (channels, height, width)."""
        ...


def _library(name: str, extra: str, model: Path) -> Any:
    if find_spec(name) is None:
        raise missing(
            f"the model {model.name} needs {name}, which is not installed; the administrator adds it"
            f" with the extra {extra!r}: pip install 'tissuemaps[{extra}]'"
        )
    return import_module(name)


class OnnxNetwork:
    """A network in an ONNX file, run by onnxruntime on one core."""

    def __init__(self, path: Path, kind: Kind) -> None:
        runtime = _library("onnxruntime", "onnx", path)
        options = runtime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self.session = runtime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime has its own classes, none of them public
            raise UserError(
                f"the model {path.name} is no ONNX file that can be run: {error}",
                code="invalid_model",
            ) from error
        metadata = self.session.get_modelmeta().custom_metadata_map
        self.card = read_card(path, metadata, kind)

    def run(self, image: Image) -> Image:
        given = image[None]
        if self.card.layout == "NHWC":
            given = given.transpose(0, 2, 3, 1)
        name = self.session.get_inputs()[0].name
        outputs = self.session.run(None, {name: np.ascontiguousarray(given)})
        # others are styles and the like
        several = [o[0] for o in outputs if o.ndim == 4]
        if self.card.layout == "NHWC":
            several = [part.transpose(2, 0, 1) for part in several]
        # two outputs may come in any order: the probability is the one of one channel
        several.sort(key=lambda part: part.shape[0] != 1)
        return np.concatenate(several).astype(np.float32, copy=False)


class StarDistNetwork:
    """A folder that the package stardist wrote (``config.json`` and weights), run by TensorFlow."""

    def __init__(self, path: Path) -> None:
        _library("stardist", "stardist", path)
        models = import_module("stardist.models")
        self.model = models.StarDist2D(None, name=path.name, basedir=str(path.parent))
        config, thresholds = self.model.config, self.model.thresholds
        self.card = ModelCard(
            kind="stardist",
            channels=config.n_channel_in,
            divisor=max(self.model._axes_div_by("YX")),  # noqa: SLF001 - the only way to know it
            min_probability=thresholds.prob,
            max_overlap=thresholds.nms,
        )

    def run(self, image: Image) -> Image:
        probability, distances = self.model.predict(
            image.transpose(1, 2, 0), axes="YXC", normalizer=None, show_tile_progress=False
        )[:2]
        parts = (probability[None], distances.transpose(2, 0, 1))
        return np.concatenate(parts).astype(np.float32, copy=False)


class CellposeNetwork:
    """Weights that the package cellpose wrote, run by PyTorch on the CPU."""

    def __init__(self, path: Path) -> None:
        _library("cellpose", "cellpose", path)
        models = import_module("cellpose.models")
        self.model = models.CellposeModel(gpu=False, pretrained_model=str(path), use_bfloat16=False)
        # the package cuts tiles itself
        self.card = ModelCard(kind="cellpose", channels=3, tile=8192)

    def run(self, image: Image) -> Image:
        _, flows, _ = self.model.eval(
            image.transpose(1, 2, 0),
            channel_axis=2,
            normalize=False,
            diameter=None,
            compute_masks=False,
        )
        return np.concatenate([flows[1], flows[2][None]]).astype(np.float32, copy=False)


@lru_cache(maxsize=2)
def _loaded(path: Path, kind: Kind, changed: int) -> Network:
    del changed
    if path.suffix == ".onnx":
        return OnnxNetwork(path, kind)
    return StarDistNetwork(path) if kind == "stardist" else CellposeNetwork(path)


def load_network(name: str, kind: Kind) -> Network:
    """Return the network of that name; the last two stay loaded.

    Raises
    ------
    UserError
        The weights or the library that runs them are not there (``missing_model``), or the file is
        none of that kind (``wrong_model``, ``invalid_model``).
    """
    path = find_weights(name)
    return _loaded(path, kind, path.stat().st_mtime_ns)


def check_network(name: str, kind: Kind) -> None:
    """Raise what `load_network` would if a network can't be used here, without loading a large one.

    Raises
    ------
    UserError
        As `load_network`; of the packages' own formats only that something is missing is told.
    """
    path = find_weights(name)
    if path.suffix == ".onnx":
        load_network(name, kind)
    else:
        _library(kind, kind, path)


def is_flat(image: NDArray[Any]) -> bool:
    """Return whether an image has no two values, so that no network need look at it.

    Examples
    --------
    >>> is_flat(np.array([np.nan, 3.0])), is_flat(np.array([2, 3]))
    (True, False)
    """
    known = image[np.isfinite(image)]
    return not known.size or bool(known.min() == known.max())


def _starts(length: int, tile: int, overlap: int) -> list[int]:
    """Return where tiles start so that they cover a length and overlap."""
    if length <= tile:
        return [0]
    step = max(tile - 2 * overlap, 1)
    starts = list(range(0, length - tile, step))
    return [*starts, length - tile]


def _padded(image: Image, card: ModelCard, tile: int) -> Image:
    """Mirror the lower and right edge until a network takes the size."""
    least = tile if card.fixed else 1
    more = [max(-n % card.divisor, least - n) for n in image.shape[1:]]
    mode: Literal["reflect", "edge"] = "reflect" if min(image.shape[1:]) > max(more) else "edge"
    return np.pad(image, [(0, 0), (0, more[0]), (0, more[1])], mode=mode)


def _ramp(n: int, start: int, whole: int, overlap: int) -> NDArray[np.float64]:
    """Return how much a tile counts along one axis: hardly at its ends, where it sees too little."""
    place = np.arange(n)
    before = place if start > 0 else np.full(n, whole)
    after = place[::-1] if start + n < whole else np.full(n, whole)
    far = np.minimum(before, after) - overlap / 2
    return np.asarray(np.clip((far + 1) / (overlap / 2 + 1), 1e-4, 1))


def predict(network: Network, image: Image) -> Image:
    """Run a network over an image of any size, in tiles that overlap.

    Parameters
    ----------
    image : ndarray of float32, shape (channels, height, width)
        Intensities as the network wants them.

    Returns
    -------
    ndarray of float32, shape (channels, rows, columns)
        Where tiles overlap their mean; within half the overlap of a tile's edge it hardly counts. A network that gives
        one point for several pixels does so here: the step is a divisor of its card's divisor.
    """
    card = network.card
    tile = max(card.tile // card.divisor, 1) * card.divisor
    whole = _padded(image, card, tile)
    overlap = min(card.overlap, tile // 4) // card.divisor * card.divisor
    tiles = [
        (y, x, network.run(whole[:, y : y + tile, x : x + tile]))
        for y in _starts(whole.shape[1], tile, overlap)
        for x in _starts(whole.shape[2], tile, overlap)
    ]
    first = tiles[0][2]
    grid = max(1, round(min(tile, whole.shape[1]) / first.shape[1]))
    rows, columns = (-(-n // grid) for n in whole.shape[1:])
    total = np.zeros((first.shape[0], rows, columns))
    counted = np.zeros((rows, columns))
    for y, x, found in tiles:
        weight = np.outer(
            _ramp(found.shape[1], y // grid, rows, overlap // grid),
            _ramp(found.shape[2], x // grid, columns, overlap // grid),
        )
        down = slice(y // grid, y // grid + found.shape[1])
        right = slice(x // grid, x // grid + found.shape[2])
        total[:, down, right] += weight * found
        counted[down, right] += weight
    rows, columns = (-(-n // grid) for n in image.shape[1:])
    mean = total / np.maximum(counted, 1e-12)
    return np.asarray(mean[:, :rows, :columns], np.float32)


def normalised(image: NDArray[Any], percentiles: tuple[float, float]) -> Image:
    """Put the intensities of two percentiles to 0 and 1, without cutting off; NaN becomes 0.

    Examples
    --------
    >>> normalised(np.array([0, 5, 10]), (0.0, 100.0))
    array([0. , 0.5, 1. ], dtype=float32)
    """
    values = np.asarray(image, np.float32)
    finite = values[np.isfinite(values)]
    if not finite.size:
        return np.zeros(values.shape, np.float32)
    low, high = np.percentile(finite, percentiles)
    scaled = (np.nan_to_num(values, nan=low, posinf=high, neginf=low) - low) / max(
        high - low, 1e-20
    )
    return np.asarray(scaled if high > low else np.zeros_like(scaled), np.float32)

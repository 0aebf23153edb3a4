"""Tiny networks, written as ONNX files, whose answers on discs are known."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

RADIUS = 8


def _disc() -> np.ndarray:
    y, x = np.mgrid[-RADIUS : RADIUS + 1, -RADIUS : RADIUS + 1]
    return np.asarray(y**2 + x**2 <= RADIUS**2, np.float32)


def _save(
    path: Path,
    nodes: list[onnx.NodeProto],
    weights: dict[str, np.ndarray],
    outputs: dict[str, int],
    card: dict[str, object],
    side: int | None = None,
) -> None:
    """Write a network of opset 13 whose input ``x`` is (1, channels, height, width)."""
    shape = ["height", "width"] if side is None else [side, side]
    channels = card.get("channels", 1)
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, channels, *shape])],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, n, None, None])
            for name, n in outputs.items()
        ],
        [numpy_helper.from_array(w.astype(np.float32), name) for name, w in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    if card:
        helper.set_model_props(model, {"tissuemaps": json.dumps(card)})
    onnx.save(model, path)


def stardist(path: Path, grid: int = 1, n_rays: int = 32, **card: object) -> None:
    """Write a network for discs of `RADIUS`: probability is how much of a disc is bright."""
    disc = _disc()
    pads, strides = [RADIUS] * 4, [grid, grid]
    nodes = [
        helper.make_node("Conv", ["x", "disc"], ["probability"], pads=pads, strides=strides),
        helper.make_node("Conv", ["x", "none", "radius"], ["distances"], strides=strides),
    ]
    weights = {
        "disc": (disc / disc.sum())[None, None],
        "none": np.zeros((n_rays, 1, 1, 1)),
        "radius": np.full(n_rays, RADIUS + 0.05),
    }
    # the distances come first: the order of outputs is not fixed
    outputs = {"distances": n_rays, "probability": 1}
    known = {"kind": "stardist", "divisor": grid, "percentiles": [0, 100], **card}
    _save(path, nodes, weights, outputs, known)


def cellpose(path: Path, side: int | None = None, **card: object) -> None:
    """Write a network for discs of `RADIUS`: flows go up a blurred image, bright pixels are objects."""
    y, x = np.mgrid[-RADIUS : RADIUS + 1, -RADIUS : RADIUS + 1]
    weight = np.exp(-(y**2 + x**2) / (2 * (RADIUS / 2) ** 2))
    slopes = np.zeros((2, 2, *y.shape))
    slopes[0, 0], slopes[1, 0] = y * weight, x * weight
    nodes = [
        helper.make_node("Conv", ["x", "slopes"], ["slope"], pads=[RADIUS] * 4),
        helper.make_node("ReduceL2", ["slope"], ["steep"], axes=[1], keepdims=1),
        helper.make_node("Add", ["steep", "small"], ["length"]),
        helper.make_node("Mul", ["slope", "five"], ["fivefold"]),
        helper.make_node("Div", ["fivefold", "length"], ["flow"]),
        helper.make_node("Conv", ["x", "first", "half"], ["logit"]),
        helper.make_node("Concat", ["flow", "logit"], ["y"], axis=1),
    ]
    weights = {
        "slopes": slopes,
        "small": np.array(0.5),
        "five": np.array(5.0),
        "first": np.array([10.0, 0]).reshape(1, 2, 1, 1),
        "half": np.array([-5.0]),
    }
    known = {
        "kind": "cellpose", "channels": 2, "percentiles": [0, 100], "diameter": 2 * RADIUS + 1,
        **card,
    }  # fmt: skip
    if side is not None:
        known |= {"tile": side, "fixed": True}
    _save(path, nodes, weights, {"y": 3}, known, side)

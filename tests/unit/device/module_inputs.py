"""What modules are given in the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, Literal, get_args, get_origin

import numpy as np

from gpu_workers.imaging.device.comparison import Scene, scene, simulated
from gpu_workers.modules.module import Features, Kind, Module

# Arguments without a default, or whose default does nothing.
NEEDED: dict[str, dict[str, Any]] = {
    "threshold_manual": {"threshold": 500.0},
}
# Choices besides those that are lists of names or yes and no.
MORE: dict[str, list[dict[str, Any]]] = {
    "grow": [{"distance": 4.0}],
    "threshold_otsu": [
        {"min_threshold": 700.0},
        {"max_threshold": 300.0},
        {"correction_factor": 0.7},
    ],
    "filter_area": [{"min_area": 100.0, "max_area": 300.0}],
}


@cache
def small_scene() -> Scene:
    return scene(simulated((120, 150), seed=2))


def of_kind(kind: Kind, number: int) -> Any:
    """Return an input in host memory; the second of a kind differs from the first."""
    found = small_scene()
    image = found.image if not number else found.image[::-1].copy()
    n = int(found.labels.max())
    inner = np.where(found.mask, found.seeds, 0).astype(np.int32)
    return {
        Kind.INTENSITY: image,
        Kind.MASK: found.mask if not number else found.mask[::-1].copy(),
        Kind.LABELS: found.labels if not number else inner,
        Kind.CHANNELS: {"A": image, "B": image[:, ::-1].copy()},
        Kind.STACK: np.stack([image, image // 2]),
        Kind.FEATURES: Features({"Morphology_Area": np.arange(n) * 10.0}, {}),
    }[kind]


def inputs_of(module: Module) -> dict[str, Any]:
    """Return an input for each handle, optional ones too."""
    seen: dict[Kind, int] = {}
    found = {}
    for handle, known in module.inputs.items():
        kind = known if isinstance(known, Kind) else next(iter(known))
        found[handle] = of_kind(kind, seen.get(kind, 0))
        seen[kind] = seen.get(kind, 0) + 1
    return found


def _choices(annotation: Any) -> tuple[Any, ...]:
    if annotation is bool:
        return (False, True)
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    return tuple(choice for part in get_args(annotation) for choice in _choices(part))


def arguments_of(module: Module) -> Iterator[Any]:
    """Yield its arguments with each of their choices in turn."""
    needed = NEEDED.get(module.name, {})
    yield module.Arguments(**needed)
    for name, field in module.Arguments.model_fields.items():
        for choice in _choices(field.annotation):
            if choice != field.default:
                yield module.Arguments(**{**needed, name: choice})
    for more in MORE.get(module.name, []):
        yield module.Arguments(**{**needed, **more})

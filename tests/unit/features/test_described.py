"""What modules of objects measure is described."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest

from gpu_workers.modules.module import Features, Module, Setting
from gpu_workers.modules.objects.count_children import count_children
from gpu_workers.modules.objects.detect_spots import detect_spots
from gpu_workers.modules.objects.exclude_border_objects import exclude_border_objects
from gpu_workers.modules.objects.relate_objects import relate_objects
from gpu_workers.modules.objects.track_objects import track_objects
from gpu_workers.pipelines.documentation import families

LABELS = np.zeros((20, 20), np.int32)
LABELS[5:9, 5:9] = 2
GIVEN: dict[str, Callable[[], np.ndarray]] = {
    "image": lambda: np.zeros((20, 20), np.uint16),
    **dict.fromkeys(("labels", "children", "parents"), lambda: LABELS),
}


@pytest.mark.parametrize(
    "module", [detect_spots, track_objects, relate_objects, count_children, exclude_border_objects]
)
def test_every_feature_has_words_and_its_unit(module: Module) -> None:
    setting = Setting({"parents": "Cells", "children": "Spots"}, 0.5)
    inputs = {n: GIVEN[n]() for n in module.inputs if n not in module.optional}

    made = module(module.Arguments(), inputs, setting)["features"]

    assert isinstance(made, Features)
    told = {f.name: f for _, several in families().values() for f in several}
    for name in made.columns:
        plain = re.sub(r"_(Cells|Spots)", "_{objects}", name.removesuffix("_um"))
        assert plain in told
        unit = "µm" if name.endswith("_um") else told[plain].unit
        assert made.units.get(name, "") == unit

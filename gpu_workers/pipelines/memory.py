"""How much memory a pipeline takes, before it runs; entry point: `peak_bytes`."""

from __future__ import annotations

import math
from typing import Final

from gpu_workers.modules.module import Kind
from gpu_workers.pipelines.prepared import Prepared
from gpu_workers.pipelines.values import last_uses

_BYTES: Final = {
    Kind.INTENSITY: 4, Kind.MASK: 1, Kind.LABELS: 4, Kind.STACK: 0, Kind.FEATURES: 0, Kind.CHANNELS: 0,
}  # fmt: skip


def peak_bytes(
    prepared: Prepared, shape: tuple[int, ...], itemsize: int = 2, n_zplanes: int = 1
) -> int:
    """Return about how many bytes the images of a run take at their peak, measurements aside.

    Parameters
    ----------
    shape
        Of an image: (height, width) or (z, height, width), px.
    itemsize
        Bytes of a channel's pixel.
    n_zplanes
        Planes of a stack, for pipelines of two dimensions that ask for stacks.

    Notes
    -----
    All channels stay in memory; every other image counts from the module that makes it to the last
    one that uses it, intensities with 4 bytes a pixel, labels with 4, masks with 1; a module adds the
    bytes per pixel that it declares.
    """
    pixels = math.prod(shape)
    if prepared.pipeline.scale == "unit":
        itemsize = 8
    held = len(prepared.channels) * itemsize * pixels
    held += len(prepared.pipeline.stacks) * n_zplanes * itemsize * pixels
    live = dict.fromkeys(prepared.pipeline.labels, 4 * pixels)
    peak = held + sum(live.values())
    over = last_uses(prepared.pipeline, prepared.uses)
    for use, forgotten in zip(prepared.uses, over, strict=True):
        for handle, variable in use.use.outputs.items():
            live[variable] = _BYTES[use.kinds[handle]] * pixels
        now = held + sum(live.values()) + int(use.module.bytes_per_pixel * pixels)
        peak = max(peak, now)
        for variable in forgotten:
            live.pop(variable, None)
    return peak

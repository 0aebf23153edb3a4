"""The microscope's own flat field of a channel; entry point: `vendor_fields`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gpu_workers.errors import FileError, UserError
from gpu_workers.formats.files.opening import read_plane
from gpu_workers.imaging.illumination.vendor import image_field, polynomial_field
from gpu_workers.registry import StepContext
from gpu_workers.storage.layout import ChannelLayout, Layout

Fields = dict[str, NDArray[np.float32]]


def vendor_fields(
    context: StepContext, layout: Layout, channel: ChannelLayout, shape: tuple[int, int]
) -> tuple[Fields, str | None]:
    """Return ``vendor_flat`` and ``vendor_dark`` as far as there are such, and why there are none."""
    profile = channel.flatfield
    if profile is None:
        return {}, None
    try:
        if profile.kind == "polynomial":
            return {"vendor_flat": polynomial_field(profile, shape)}, None
        folder = _folder(context, layout, channel, profile.flat_file or "")
        flat = read_plane(folder, profile.flat_file or "")
        if profile.dark_file is None:
            return {"vendor_flat": image_field(flat, None, shape)}, None
        dark = read_plane(folder, profile.dark_file)
        field = image_field(flat, dark, shape)
        return {"vendor_flat": field, "vendor_dark": dark.astype(np.float32)}, None
    except UserError as error:
        return {}, error.message


def _folder(context: StepContext, layout: Layout, channel: ChannelLayout, file: str) -> Path:
    """Return the folder of the first acquisition of the channel's cycle that has the file."""
    cycles = {a.id: a.cycle for a in layout.acquisitions}
    own = [a for a in context.experiment.acquisitions if cycles.get(str(a.id)) == channel.cycle]
    for acquisition in own:
        folder = context.root / acquisition.folder
        if (folder / file).is_file():
            return folder
    raise FileError(f"the flat field image {file} is in no acquisition's folder", files=(file,))

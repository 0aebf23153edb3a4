"""Reading plain image files for pipelines; entry points: `channel_names`, `read_channels`, `read_labels`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gpu_workers.errors import FileError
from gpu_workers.formats.contents import ImageContent
from gpu_workers.formats.files import FileCache, damaged, known_type, read_contents

COMPONENTS: Final = ("R", "G", "B")
MAX_PIXELS: Final = 2**30
# Luma of ITU-R BT.601, as most libraries turn colours into grey.
_LUMA: Final = (0.299, 0.587, 0.114)


def _content(path: Path) -> ImageContent:
    # The files are the user's own: unlike in an upload, links among them are followed.
    real = path.resolve()
    contents = read_contents(real.parent, real.name)
    first = contents[0]
    if len(contents) > 1 or first.n_t > 1 or first.n_c > 1:
        raise FileError(
            f"{path.name} holds {len(contents)} image(s) of {first.n_t} time points and {first.n_c}"
            " channels: a plain image has one of each",
            code="several_images",
            files=(path.name,),
        )
    return first


def channel_names(name: str, path: Path) -> tuple[str, ...]:
    """Return the channels that a file gives: itself, and of a colour image its components, too."""
    if _content(path).samples == 1:
        return (name,)
    return (name, *(f"{name}_{component}" for component in COMPONENTS))


def _planes(path: Path, content: ImageContent, files: FileCache, sample: int) -> NDArray[Any]:
    name = path.resolve().name
    planes = [files.read(name, p.page, sample) for p in content.each_plane()]
    if len(planes) == 1:
        return planes[0]
    stack: NDArray[Any] = np.stack(planes)
    return stack


def _grey(colors: list[NDArray[Any]]) -> NDArray[Any]:
    """Return the components themselves where they are equal, else their luminance."""
    if all(np.array_equal(colors[0], other) for other in colors[1:]):
        return colors[0]
    total = np.sum([w * c.astype(np.float32) for w, c in zip(_LUMA, colors, strict=True)], axis=0)
    if colors[0].dtype.kind == "f":
        return np.asarray(total, np.float32)
    grey: NDArray[Any] = np.rint(total).astype(colors[0].dtype)
    return grey


def read_channels(files: Mapping[str, Path | None]) -> dict[str, NDArray[Any] | None]:
    """Read the files of one image.

    Parameters
    ----------
    files
        Channel -> file; None where it is missing.

    Returns
    -------
    dict
        Channel -> (height, width), or (z, height, width) of a file with several planes. A colour
        image gives its luminance (whole numbers stay whole; grey ones their value) under the
        channel's name and its components under ``<name>_R``, ``<name>_G``, ``<name>_B``.

    Raises
    ------
    FileError
        A file is damaged, of no known format, or holds several images (``several_images``).
    """
    found: dict[str, NDArray[Any] | None] = {}
    for name, path in files.items():
        if path is None:
            found[name] = None
            continue
        content = _content(path)
        with FileCache(path.resolve().parent, size=1) as cache:
            colors = [_planes(path, content, cache, s) for s in range(content.samples)]
        found[name] = colors[0] if len(colors) == 1 else _grey(colors)
        if len(colors) > 1:
            parts = zip(COMPONENTS, colors, strict=True)
            found |= {f"{name}_{component}": image for component, image in parts}
    return found


def read_labels(path: Path) -> NDArray[np.int64]:
    """Read a label image of whole numbers, 0 is background: (height, width) or (z, height, width).

    Raises
    ------
    FileError
        It is damaged, or holds no whole numbers from 0 on (``no_labels``).
    """
    real = path.resolve()
    if known_type(real.parent, real.name) == "tiff":
        labels = _read_tiff(path)
    else:
        found = read_channels({"labels": path})["labels"]
        labels = np.zeros((0, 0)) if found is None else found
    if labels.dtype.kind == "f" and np.array_equal(labels, np.rint(labels)):
        labels = labels.astype(np.int64)
    if labels.dtype.kind not in "uib" or labels.ndim not in (2, 3) or (labels < 0).any():
        raise FileError(
            f"{path.name} holds no labels (whole numbers from 0 on, in two or three dimensions)",
            code="no_labels",
            files=(path.name,),
        )
    return labels.astype(np.int64)


def _read_tiff(path: Path) -> NDArray[Any]:
    """Return a TIFF's pixels in any type: label images often have 32 bits."""
    import tifffile

    try:
        with tifffile.TiffFile(path) as file:
            series = file.series[0]
            if series.size > MAX_PIXELS:
                raise ValueError(f"it claims {series.size} pixels, more than {MAX_PIXELS}")
            return np.squeeze(np.asarray(series.asarray()))
    except (OSError, ValueError, RuntimeError, KeyError, IndexError, TypeError) as error:
        raise damaged(path.name, error) from error

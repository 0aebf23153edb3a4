"""Tool results on disk: one little-endian float32 value per object and plate, and what they mean.

``results/<id>/result.json`` holds `ResultInfo`; ``results/<id>/<plate id>.f4`` holds the values of
a plate, value i for the object with index i + 1, NaN where there is none.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from gpu_workers.errors import DataMissing
from gpu_workers.messages import Message
from gpu_workers.storage import paths

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


class WellValue(Message):
    """The aggregate of one well; `mean` and `median` are None where no object has a value."""

    name: str
    count: int
    mean: float | None
    median: float | None


class PlateValues(Message):
    """The values of one plate."""

    id: str
    path: str
    n_objects: int
    wells: tuple[WellValue, ...]


class ResultInfo(Message):
    """What a result shows: enough for a layer with a legend."""

    version: Literal[1] = 1
    kind: Literal["continuous"] = "continuous"
    tool: str
    tool_version: int
    label: str
    unit: str
    low: float
    high: float
    n_missing: int
    plates: tuple[PlateValues, ...]


def values_path(result: str, plate: str) -> str:
    """Path of the values of one plate below the experiment root."""
    return f"{paths.results_folder(result)}/{plate}.f4"


def info_path(result: str) -> str:
    """Path of what the result means below the experiment root."""
    return f"{paths.results_folder(result)}/result.json"


def write_values(root: Path, result: str, plate: str, values: npt.NDArray[np.float32]) -> str:
    """Write the values of one plate, shape (n_objects,), and return their path below `root`."""
    path = values_path(result, plate)
    paths.write_atomically(root / path, values.astype("<f4").tobytes())
    return path


def read_values(root: Path, result: str, plate: str) -> npt.NDArray[np.float32]:
    """Read the values of one plate, shape (n_objects,), float32.

    Raises
    ------
    DataMissing
        The result has no values for that plate.
    """
    import numpy as np

    path = root / values_path(result, plate)
    try:
        return np.fromfile(path, "<f4")
    except FileNotFoundError:
        raise DataMissing(f"result {result} has no values for plate {plate}") from None


def write_info(root: Path, result: str, info: ResultInfo) -> str:
    """Write `info` and return its path below `root`."""
    path = info_path(result)
    paths.write_json(root / path, info.model_dump(mode="json"))
    return path

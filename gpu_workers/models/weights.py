"""Where the weights of networks lie; entry points: `find_weights`, `weights_digest`, `ModelCard`."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gpu_workers.errors import UserError

VARIABLE = "TISSUEMAPS_MODELS"


class ModelCard(BaseModel):
    """What must be known of a network besides its weights.

    It stands as JSON under the key ``tissuemaps`` in the metadata of an ONNX file, or in a file of the
    same name that ends in ``.json``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["stardist", "cellpose"]
    channels: int = Field(1, ge=1, le=16, description="of the input")
    layout: Literal["NCHW", "NHWC"] = Field("NCHW", description="of input and outputs")
    divisor: int = Field(1, ge=1, le=256, description="height and width must be multiples of it")
    tile: int = Field(1024, ge=32, le=8192, description="side of what is predicted at once, px")
    fixed: bool = Field(False, description="the network takes nothing but whole tiles")
    overlap: int = Field(64, ge=0, le=1024, description="of tiles, px")
    percentiles: tuple[float, float] = Field(
        (1.0, 99.8), description="of the intensities that become 0 and 1"
    )
    diameter: float = Field(30.0, gt=0, description="of the objects that it was trained with, px")
    min_probability: float = Field(0.5, ge=0, le=1)
    max_overlap: float = Field(0.4, ge=0, le=1)


def model_folders() -> list[Path]:
    """Return the folders that the administrator names in ``TISSUEMAPS_MODELS``."""
    listed = os.environ.get(VARIABLE, "").split(os.pathsep)
    return [Path(item).expanduser().resolve() for item in listed if item.strip()]


def missing(text: str) -> UserError:
    """Return the error of a network that can't be used here."""
    return UserError(text, code="missing_model")


def _named(folder: Path, name: str) -> list[Path]:
    """Return what a name may mean in a folder: as it is written, or an ONNX file without its ending."""
    candidates = [(folder / name).resolve(), (folder / f"{name}.onnx").resolve()]
    return [p for p in candidates if p.exists() and p.is_relative_to(folder) and p != folder]


def find_weights(name: str) -> Path:
    """Return the file or folder of a network.

    Parameters
    ----------
    name
        Its name in one of the folders, or its whole path, which must lie in one of them: weights may
        hold code, and who writes a pipeline isn't who may run code.

    Raises
    ------
    UserError
        There is none (``missing_model``); the message lists those there are.
    """
    folders = model_folders()
    if not folders:
        raise missing(
            f"the model {name!r} cannot be found: no folder of models is set; the administrator names"
            f" one in {VARIABLE} (nothing is downloaded)"
        )
    for folder in folders:
        found = _named(folder, name)
        if found:
            return found[0]
    known = sorted({p.name for folder in folders if folder.is_dir() for p in folder.iterdir()})
    raise missing(
        f"no model is called {name!r} in the folders of {VARIABLE}; there are:"
        f" {', '.join(k for k in known if not k.endswith('.json')) or 'none'} (nothing is downloaded)"
    )


@cache
def _digest(path: Path, changed: int) -> str:
    del changed
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    beside = path.with_suffix(".json")
    digest = hashlib.sha256()
    for file in [*files, *([beside] if beside.is_file() and path.is_file() else [])]:
        digest.update(f"{file.name}\0{file.stat().st_size}\0".encode())
        with file.open("rb") as opened:
            for part in iter(lambda: opened.read(1 << 20), b""):
                digest.update(part)
    return digest.hexdigest()


def weights_digest(name: str) -> str:
    """Return the SHA-256 of a network's files, which belongs into the key of what it makes.

    Raises
    ------
    UserError
        There is no such network (``missing_model``).
    """
    path = find_weights(name)
    return _digest(path, path.stat().st_mtime_ns)


def read_card(path: Path, metadata: Mapping[str, str], kind: str) -> ModelCard:
    """Return what is known of a network: from the file beside it, else from its metadata.

    Raises
    ------
    UserError
        It is of another kind (``wrong_model``), or what is written is malformed (``invalid_model``).
    """
    beside = path.with_suffix(".json")
    text = beside.read_text() if beside.is_file() else metadata.get("tissuemaps", "")
    try:
        card = ModelCard.model_validate(json.loads(text) if text else {"kind": kind})
    except (ValidationError, ValueError) as error:
        raise UserError(
            f"what is said of the model {path.name} is malformed: {error}", code="invalid_model"
        ) from error
    if card.kind != kind:
        raise UserError(
            f"the model {path.name} is one of {card.kind}, not {kind}", code="wrong_model"
        )
    return card

"""Where things lie below an experiment's folder. No other module spells a path."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from pathlib import Path
from typing import Any
from uuid import UUID

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


def experiment_root(data: Path, experiment: UUID | str) -> Path:
    """Return the folder of one experiment below ``$TISSUEMAPS_DATA``."""
    return data / "experiments" / str(experiment)


def slug(name: str, identifier: UUID | str) -> str:
    """Return a file-name-safe, unique stem for a named row (never empty, never hidden)."""
    stem = _UNSAFE.sub("-", name).strip("-.")[:40] or "unnamed"
    return f"{stem}-{str(identifier)[:8]}"


def uploads(acquisition: UUID | str) -> str:
    """Folder of what was uploaded for an acquisition."""
    return f"uploads/{acquisition}"


def metadata_folder(key: str) -> str:
    """Folder of what metaextract read."""
    return f"metadata/{key}"


def layout_folder(key: str) -> str:
    """Folder of one layout version."""
    return f"layouts/{key}"


def plates_folder(key: str) -> str:
    """Folder of the raw plates of one conversion."""
    return f"plates/{key}"


def illumination_folder(key: str) -> str:
    """Folder of one set of illumination statistics."""
    return f"illumination/{key}"


def alignment_folder(key: str) -> str:
    """Folder of one version of the alignment of cycles and sites."""
    return f"alignment/{key}"


def mosaic_folder(key: str) -> str:
    """Folder of one mosaic version."""
    return f"mosaics/{key}"


def objects_folder(key: str, object_type: str | None = None) -> str:
    """Folder of one segmentation, or of one object type in it."""
    return f"objects/{key}" if object_type is None else f"objects/{key}/{object_type}"


def segmentations_folder(key: str) -> str:
    """Folder of one version of the label images that people uploaded."""
    return f"segmentations/{key}"


def derived_folder(key: str) -> str:
    """Folder of the channels that one run of a pipeline made."""
    return f"derived/{key}"


def results_folder(result: UUID | str) -> str:
    """Folder of one tool result."""
    return f"results/{result}"


def attempt_folder(job: UUID | str, attempt: int) -> str:
    """Folder of one attempt: ``spec.json``, ``log.txt``, ``result.json``."""
    return f"jobs/{job}/{attempt}"


def content_key(*parts: Any) -> str:
    """Return a 20-digit hexadecimal key of JSON-serialisable parts; equal parts, equal key."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.blake2b(text.encode(), digest_size=10).hexdigest()


def write_atomically(path: Path, data: bytes) -> None:
    """Write a whole file so that readers see either nothing or all of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".tmp-")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file atomically."""
    write_atomically(path, json.dumps(value, indent=1, default=str).encode())


def read_json(path: Path) -> Any:
    """Read a JSON file."""
    return json.loads(path.read_bytes())

"""What the services of all products share: plates that manifests name, keys, and which version is current."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from apps.core.errors import Invalid
from apps.experiments.models import Experiment, Plate


def version_key(path: str, manifest: dict[str, Any]) -> str:
    """Return a version's key; a manifest without one lies in a folder of that name."""
    return str(manifest.get("key") or Path(path).parent.name)


def make_current(rows: QuerySet[Any], chosen: Iterable[UUID]) -> None:
    """Flip `is_current` to the chosen rows; first off, then on, for the constraint's sake."""
    ids = set(chosen)
    rows.filter(is_current=True).exclude(id__in=ids).update(is_current=False)
    rows.filter(id__in=ids, is_current=False).update(is_current=True)


def plates_named(experiment: Experiment, ids: Iterable[str]) -> dict[str, Plate]:
    """Return the experiment's plates by id as text; Invalid if one of `ids` is not there."""
    found = {str(p.id): p for p in Plate.objects.filter(experiment=experiment)}
    missing = [each for each in ids if each not in found]
    if missing:
        raise Invalid(f"the experiment has no plate {missing[0]}", code="unknown_plate")
    return found

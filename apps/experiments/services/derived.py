"""Channels that pipelines make of others become rows; entry point: `derived_apply`.

What a run does not make stays: an older version is current for as long as one of its channels is.
"""

from __future__ import annotations

from typing import Any, Final

from django.utils import timezone

from apps.experiments.models import Channel, Experiment, Mosaic
from apps.experiments.services.versions import plates_named, version_key

FIRST_INDEX: Final = 1000
"""Derived channels count from here, so that they never take the number of one of the microscope's."""
FACTS: Final = ("projection", "corrected", "pixel_size_um", "n_tpoints", "n_zplanes")


def derived_apply(experiment: Experiment, path: str, manifest: dict[str, Any]) -> None:
    """Enter the channels and mosaics of a ``derived.json`` and make them current."""
    plates = plates_named(experiment, (p["id"] for p in manifest["plates"]))
    numbers = _channels(experiment, manifest["channels"])
    channels = [{**c, "channel": numbers[c["name"]]} for c in manifest["channels"]]
    facts = {name: manifest.get(name) for name in FACTS}
    key = version_key(path, manifest)
    _retire(experiment, key, set(numbers))
    Mosaic.objects.bulk_create(
        [
            Mosaic(
                experiment=experiment,
                plate=plates[each["id"]],
                key=key,
                path=each["path"],
                layout_key=manifest["layout"],
                is_derived=True,
                is_current=True,
                info={**facts, **each, "channels": channels, "manifest": path},
            )
            for each in manifest["plates"]
        ],
        update_conflicts=True,
        unique_fields=["plate", "key"],
        update_fields=["path", "layout_key", "info", "is_current", "updated_at"],
    )


def _channels(experiment: Experiment, channels: list[dict[str, Any]]) -> dict[str, int]:
    """Upsert the derived channels by name; return each one's number."""
    rows = Channel.objects.filter(experiment=experiment, is_derived=True)
    known = dict(rows.values_list("layout_name", "index"))
    free = max([FIRST_INDEX - 1, *known.values()]) + 1
    fresh = [c for c in channels if c["name"] not in known]
    Channel.objects.bulk_create(
        Channel(
            experiment=experiment,
            index=free + offset,
            name=each["name"],
            layout_name=each["name"],
            color=each["color"],
            dtype=each["dtype"],
            is_derived=True,
        )
        for offset, each in enumerate(fresh)
    )
    known.update({each["name"]: free + offset for offset, each in enumerate(fresh)})
    return {c["name"]: known[c["name"]] for c in channels}


def _retire(experiment: Experiment, key: str, made: set[str]) -> None:
    """Hide channels that have been made anew in older versions; without others they aren't current."""
    rows = Mosaic.objects.filter(experiment=experiment, is_derived=True, is_current=True)
    older = list(rows.exclude(key=key))
    for row in older:
        for channel in row.info["channels"]:
            channel["hidden"] = channel.get("hidden", False) or channel["name"] in made
        row.is_current = any(not c["hidden"] for c in row.info["channels"])
        row.updated_at = timezone.now()
    Mosaic.objects.bulk_update(older, ["info", "is_current", "updated_at"])

"""What steps have made becomes rows; entry point: `products_apply`.

Rows are matched by natural keys and written in bulk, so that a step that ends twice, or a step run
again, changes nothing that is equal. What a newer layout lacks is flagged, never deleted.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from apps.core.errors import Invalid
from apps.experiments.models import (
    Channel,
    Cycle,
    Experiment,
    Feature,
    LayoutVersion,
    Mosaic,
    ObjectSet,
    ObjectType,
    Plate,
    Product,
    Site,
    Well,
)
from apps.experiments.selectors import experiment_root
from apps.experiments.services.derived import derived_apply
from apps.experiments.services.originals import originals_apply
from apps.experiments.services.versions import make_current, plates_named, version_key
from gpu_workers.storage.layout import ChannelLayout, Layout, PlateLayout

BATCH = 2000


@transaction.atomic
def products_apply(
    *, experiment_id: UUID, step: str, products: dict[str, str], output: dict[str, Any]
) -> None:
    """Enter the products of a step that has ended and make them current.

    `products` maps a product's name to its manifest's path below the experiment's folder; `output`
    is the small JSON of the step's last job. Runs in the transaction that ends the step.

    Raises
    ------
    Invalid
        A manifest is missing, or names a plate that the experiment does not have.
    """
    experiment = Experiment.objects.select_for_update().get(id=experiment_id)
    root = experiment_root(experiment_id)
    for name, path in products.items():
        manifest = _manifest(root, path)
        if name in APPLIED:
            APPLIED[name](experiment, path, manifest)
        _product_apply(experiment, step, name, path, manifest, output)


def _manifest(root: Path, path: str) -> dict[str, Any]:
    try:
        # JSON of ours may hold NaN, which PostgreSQL does not take.
        text = (root / path).read_bytes()
        found: dict[str, Any] = json.loads(text, parse_constant=lambda _: None)
    except (OSError, ValueError) as error:
        raise Invalid(f"the manifest {path} cannot be read: {error}", code="bad_manifest") from None
    return found


def _size(manifest: dict[str, Any], output: dict[str, Any]) -> int:
    """Return the bytes a product takes, where its step says so."""
    parts = [p.get("bytes", 0) for p in manifest.get("plates", []) if isinstance(p, dict)]
    return int(manifest.get("bytes") or sum(parts) or output.get("bytes") or 0)


def _product_apply(
    experiment: Experiment,
    step: str,
    name: str,
    path: str,
    manifest: dict[str, Any],
    output: dict[str, Any],
) -> None:
    row, _ = Product.objects.update_or_create(
        experiment=experiment,
        name=name,
        key=version_key(path, manifest),
        defaults={"path": path, "step": step, "size": _size(manifest, output)},
    )
    make_current(Product.objects.filter(experiment=experiment, name=name), [row.id])


def _layout_apply(experiment: Experiment, path: str, manifest: dict[str, Any]) -> None:
    layout = Layout.model_validate(manifest)
    plates = plates_named(experiment, (p.id for p in layout.plates))
    _plate_facts(plates, layout)
    wells = _wells_apply(plates, layout)
    _sites_apply(experiment, wells, layout)
    _cycles_apply(experiment, layout.n_cycles)
    _channels_apply(experiment, layout.channels)
    problems = _problems(experiment_root(experiment.id) / path)
    row, _ = LayoutVersion.objects.update_or_create(
        experiment=experiment,
        key=layout.key,
        defaults={"path": path, "summary": {**_summary(layout), **problems}},
    )
    make_current(LayoutVersion.objects.filter(experiment=experiment), [row.id])


def _configured_apply(experiment: Experiment, path: str, manifest: dict[str, Any]) -> None:
    """Enter what metaconfig made; sites that were stitched on this very layout stay stitched."""
    _layout_apply(experiment, path, manifest)
    rows = Product.objects.filter(experiment=experiment, name="alignment", is_current=True)
    root = experiment_root(experiment.id)
    for aligned in rows.values_list("path", flat=True):
        known = _manifest(root, aligned) if (root / aligned).is_file() else {}
        if known.get("source_layout_key") == manifest["key"]:
            _alignment_apply(experiment, aligned, known)


def _alignment_apply(experiment: Experiment, path: str, manifest: dict[str, Any]) -> None:  # noqa: ARG001
    """Make the layout current that goes with an alignment: the stitched one, or that it was given."""
    layout = _manifest(experiment_root(experiment.id), manifest["layout"])
    _layout_apply(experiment, manifest["layout"], layout)


def _summary(layout: Layout) -> dict[str, Any]:
    return {
        "n_tpoints": layout.n_tpoints,
        "n_zplanes": layout.n_zplanes,
        "n_cycles": layout.n_cycles,
        "pixel_size_um": layout.pixel_size_um,
        "z_step_um": layout.z_step_um,
        "n_channels": len(layout.channels),
        "n_plates": len(layout.plates),
        "n_wells": sum(len(p.wells) for p in layout.plates),
        "n_sites": sum(len(p.sites) for p in layout.plates),
        "objective": layout.objective,
        "magnification": layout.magnification,
        "channels": [c.model_dump(mode="json") for c in layout.channels],
        "acquisitions": [a.model_dump(mode="json") for a in layout.acquisitions],
        "plates": [
            {
                **p.model_dump(mode="json", exclude={"wells", "sites"}),
                "n_wells": len(p.wells),
                "n_sites": len(p.sites),
            }
            for p in layout.plates
        ],
    }


def _problems(path: Path) -> dict[str, Any]:
    """Return how many problems metaconfig found and the first 100 of them."""
    try:
        found = json.loads(path.with_name("problems.json").read_bytes())
    except (OSError, ValueError):
        found = []
    return {"n_problems": len(found), "problems": found[:100]}


def _plate_facts(plates: dict[str, Plate], layout: Layout) -> None:
    changed: list[Plate] = []
    for each in layout.plates:
        plate = plates[each.id]
        plate.layout = each.model_dump(mode="json", exclude={"id", "name", "wells", "sites"})
        plate.layout["key"] = layout.key
        plate.updated_at = timezone.now()
        changed.append(plate)
    Plate.objects.bulk_update(changed, ["layout", "updated_at"])


def _wells_apply(plates: dict[str, Plate], layout: Layout) -> dict[tuple[str, str], UUID]:
    """Upsert the wells of all plates; returns (plate id, well name) to the well's id."""
    fields = ["row", "column", "y", "x", "height", "width"]
    Well.objects.bulk_create(
        [
            Well(
                plate=plates[plate.id],
                name=well.name,
                removed=False,
                **{field: getattr(well, field) for field in fields},
            )
            for plate in layout.plates
            for well in plate.wells
        ],
        update_conflicts=True,
        unique_fields=["plate", "name"],
        update_fields=[*fields, "removed", "updated_at"],
        batch_size=BATCH,
    )
    rows = Well.objects.filter(plate__in=plates.values())
    ids = {(str(p), n): i for p, n, i in rows.values_list("plate_id", "name", "id")}
    kept = {(plate.id, well.name) for plate in layout.plates for well in plate.wells}
    gone = [i for key, i in ids.items() if key not in kept]
    Well.objects.filter(id__in=gone, removed=False).update(removed=True)
    return ids


SITE_FIELDS = ("index", "y", "x", "height", "width", "stage_y_um", "stage_x_um")


def _site_rows(plate: PlateLayout, wells: dict[tuple[str, str], UUID]) -> Iterable[Site]:
    for site in plate.sites:
        yield Site(
            well_id=wells[plate.id, site.well],
            removed=False,
            **site.model_dump(include={"name", *SITE_FIELDS}),
        )


def _sites_apply(
    experiment: Experiment, wells: dict[tuple[str, str], UUID], layout: Layout
) -> None:
    rows = [row for plate in layout.plates for row in _site_rows(plate, wells)]
    Site.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["well", "name"],
        update_fields=[*SITE_FIELDS, "removed", "updated_at"],
        batch_size=BATCH,
    )
    kept = {(row.well_id, row.name) for row in rows}
    before = Site.objects.filter(well__plate__experiment=experiment, removed=False)
    gone = [i for i, w, n in before.values_list("id", "well_id", "name") if (w, n) not in kept]
    Site.objects.filter(id__in=gone).update(removed=True)


def _cycles_apply(experiment: Experiment, number: int) -> None:
    Cycle.objects.bulk_create(
        [Cycle(experiment=experiment, index=index) for index in range(number)],
        ignore_conflicts=True,
    )
    Cycle.objects.filter(experiment=experiment, index__gte=number).delete()


def _channels_apply(experiment: Experiment, channels: tuple[ChannelLayout, ...]) -> None:
    own = Channel.objects.filter(experiment=experiment, is_derived=False)
    before = {c.index: c for c in own}
    fresh: list[Channel] = []
    for each in channels:
        old = before.get(each.index)
        same = old is not None and old.edited and old.layout_name == each.name
        fresh.append(
            Channel(
                experiment=experiment,
                index=each.index,
                name=old.name if same and old else each.name,
                color=old.color if same and old else each.color,
                edited=same,
                layout_name=each.name,
                wavelength_nm=each.wavelength_nm,
                dtype=each.dtype,
            )
        )
    Channel.objects.bulk_create(
        fresh,
        update_conflicts=True,
        unique_fields=["experiment", "index"],
        update_fields=[
            "name",
            "color",
            "edited",
            "layout_name",
            "wavelength_nm",
            "dtype",
            "updated_at",
        ],
    )
    own.exclude(index__in=[c.index for c in channels]).delete()


MOSAIC_FACTS = ("projection", "corrected", "pixel_size_um", "n_tpoints", "n_zplanes", "channels")


def _mosaics_apply(experiment: Experiment, path: str, manifest: dict[str, Any]) -> None:
    plates = plates_named(experiment, (p["id"] for p in manifest["plates"]))
    facts = {name: manifest.get(name) for name in MOSAIC_FACTS}
    key = version_key(path, manifest)
    Mosaic.objects.bulk_create(
        [
            Mosaic(
                experiment=experiment,
                plate=plates[each["id"]],
                key=key,
                path=each["path"],
                layout_key=manifest["layout"],
                info={**facts, **each, "manifest": path},
            )
            for each in manifest["plates"]
        ],
        update_conflicts=True,
        unique_fields=["plate", "key"],
        update_fields=["path", "layout_key", "info", "updated_at"],
        batch_size=BATCH,
    )
    rows = Mosaic.objects.filter(experiment=experiment, is_derived=False)
    make_current(rows, rows.filter(key=key).values_list("id", flat=True))


def _features_apply(kinds: dict[str, ObjectType], types: list[dict[str, Any]]) -> None:
    rows = [
        Feature(object_type=kinds[t["name"]], name=f["name"], unit=f.get("unit") or "")
        for t in types
        for f in t["features"]
    ]
    Feature.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["object_type", "name"],
        update_fields=["unit", "updated_at"],
        batch_size=BATCH,
    )
    kept = {(row.object_type_id, row.name) for row in rows}
    before = Feature.objects.filter(object_type__in=kinds.values())
    gone = [
        i for i, t, n in before.values_list("id", "object_type_id", "name") if (t, n) not in kept
    ]
    Feature.objects.filter(id__in=gone).delete()


def _objects_apply(experiment: Experiment, path: str, manifest: dict[str, Any]) -> None:
    types = manifest["types"]
    plates = plates_named(experiment, {p["id"] for t in types for p in t["plates"]})
    ObjectType.objects.bulk_create(
        [ObjectType(experiment=experiment, name=t["name"]) for t in types], ignore_conflicts=True
    )
    named = ObjectType.objects.filter(experiment=experiment, name__in=[t["name"] for t in types])
    kinds = {kind.name: kind for kind in named}
    _features_apply(kinds, types)
    key = version_key(path, manifest)
    ObjectSet.objects.bulk_create(
        [
            ObjectSet(
                experiment=experiment,
                object_type=kinds[t["name"]],
                plate=plates[each["id"]],
                key=key,
                path=path,
                layout_key=manifest["layout"],
                n_objects=each["n_objects"],
                info={**each, "features": t["features"]},
            )
            for t in types
            for each in t["plates"]
        ],
        update_conflicts=True,
        unique_fields=["object_type", "plate", "key"],
        update_fields=["path", "layout_key", "n_objects", "info", "updated_at"],
        batch_size=BATCH,
    )
    # Each type has its current version: what this run did not make stays as it is.
    rows = ObjectSet.objects.filter(experiment=experiment, object_type__in=kinds.values())
    make_current(rows, rows.filter(key=key).values_list("id", flat=True))


APPLIED: dict[str, Callable[[Experiment, str, dict[str, Any]], None]] = {
    "layout": _configured_apply,
    "alignment": _alignment_apply,
    "mosaic": _mosaics_apply,
    "plates": originals_apply,
    "objects": _objects_apply,
    "regions": _objects_apply,
    "derived": derived_apply,
}

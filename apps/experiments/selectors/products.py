"""Reads of what steps have made: layouts, mosaics, objects; and what a step may know."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID

from django.db.models import QuerySet, Sum

from apps.accounts.models import User
from apps.core.errors import NotFound
from apps.experiments.models import (
    Acquisition,
    AcquisitionSource,
    Experiment,
    LayoutEdit,
    LayoutVersion,
    Mosaic,
    ObjectSet,
    ObjectType,
    Product,
)
from apps.experiments.selectors.experiments import (
    experiment_root,
    reach,
    within,
)
from apps.experiments.selectors.plates import plate_get
from gpu_workers.messages import (
    AcquisitionDescription,
    ExperimentDescription,
    LayoutCorrections,
)
from gpu_workers.storage import paths
from gpu_workers.storage.layout import REGION_TYPES, load_layout, load_raw_layout, raw_sites

PLANE_COLUMNS = [
    "well", "site", "acquisition", "t", "channel", "z", "role", "file", "page", "sample",
]  # fmt: skip


def mosaics_list(
    *, user: User, experiment_id: UUID, current: bool | None = None, plate: UUID | None = None
) -> QuerySet[Mosaic]:
    """Return the mosaics of the plates a user sees."""
    seen = reach(user=user, experiment_id=experiment_id)
    rows = Mosaic.objects.filter(experiment_id=experiment_id).select_related("plate")
    rows = rows if current is None else rows.filter(is_current=current)
    rows = rows.filter(plate=plate) if plate else rows
    return within(rows, "plate", seen.plates)


def mosaic_get(*, user: User, experiment_id: UUID, mosaic_id: UUID) -> Mosaic:
    """Return a mosaic; raises NotFound."""
    found = mosaics_list(user=user, experiment_id=experiment_id).filter(id=mosaic_id).first()
    if found is None:
        raise NotFound("there is no such mosaic")
    return found


def object_types_list(*, user: User, experiment_id: UUID) -> QuerySet[ObjectType]:
    """Return the object types a user sees, with their features."""
    seen = reach(user=user, experiment_id=experiment_id)
    rows = ObjectType.objects.filter(experiment_id=experiment_id).prefetch_related("features")
    return within(rows, "id", seen.object_types)


def object_type_get(*, user: User, experiment_id: UUID, name: str) -> ObjectType:
    """Return an object type by its name; raises NotFound."""
    rows = object_types_list(user=user, experiment_id=experiment_id)
    found = rows.filter(name=name).first() if "\x00" not in name else None
    if found is None:
        raise NotFound(f"there is no object type {name!r}")
    return found


def object_sets_list(
    *,
    user: User,
    experiment_id: UUID,
    current: bool | None = None,
    plate: UUID | None = None,
    object_type: UUID | None = None,
) -> QuerySet[ObjectSet]:
    """Return the object sets of the types a user sees, on the plates they see."""
    seen = reach(user=user, experiment_id=experiment_id)
    rows = ObjectSet.objects.filter(experiment_id=experiment_id)
    rows = rows.select_related("plate", "object_type")
    rows = rows if current is None else rows.filter(is_current=current)
    rows = rows.filter(plate=plate) if plate else rows
    rows = rows.filter(object_type=object_type) if object_type else rows
    return within(within(rows, "plate", seen.plates), "object_type", seen.object_types)


def object_set_get(*, user: User, experiment_id: UUID, object_set_id: UUID) -> ObjectSet:
    """Return an object set; raises NotFound."""
    rows = object_sets_list(user=user, experiment_id=experiment_id)
    found = rows.filter(id=object_set_id).first()
    if found is None:
        raise NotFound("there is no such object set")
    return found


def experiment_description(*, experiment_id: UUID, corrected: bool = True) -> ExperimentDescription:
    """Return what a step may know of an experiment; for the workflow engine, so without a user.

    Without `corrected` the corrections of the layout are left out: there may be thousands, in the
    specification of each of thousands of jobs.
    """
    experiment = Experiment.objects.get(id=experiment_id)
    rows = Acquisition.objects.filter(plate__experiment_id=experiment_id).select_related("plate")
    edit = layout_edit_latest(experiment_id=experiment_id) if corrected else None
    return ExperimentDescription(
        id=experiment.id,
        name=experiment.name,
        plate_format=experiment.plate_format,
        acquisition_mode=experiment.acquisition_mode,
        corrections=LayoutCorrections.model_validate(edit.content if edit else {}),
        acquisitions=tuple(
            AcquisitionDescription(
                id=each.id,
                name=each.name,
                plate=each.plate_id,
                plate_name=each.plate.name,
                index=each.index,
                folder=each.folder
                if each.source == AcquisitionSource.REGISTERED
                else paths.uploads(each.id),
                microscope=each.microscope or experiment.microscope or None,
                pattern=each.pattern or None,
            )
            for each in rows.order_by("plate__created_at", "plate_id", "index")
        ),
    )


def current_inputs(*, experiment_id: UUID) -> dict[str, str]:
    """Return the current manifest of every product: name to path below the experiment's folder.

    Each object type and each derived channel has its own as well, ``objects/<type>`` and
    ``derived/<channel>``: they need not come from the latest run.
    """
    rows = Product.objects.filter(experiment_id=experiment_id, is_current=True)
    found = dict(rows.values_list("name", "path"))
    sets = ObjectSet.objects.filter(experiment_id=experiment_id, is_current=True)
    sets = sets.exclude(object_type__name__in=REGION_TYPES)
    for name, path in sets.order_by("created_at").values_list("object_type__name", "path"):
        found[f"objects/{name}"] = path
    derived = Mosaic.objects.filter(experiment_id=experiment_id, is_current=True, is_derived=True)
    for info in derived.order_by("created_at").values_list("info", flat=True):
        for channel in info["channels"]:
            if not channel.get("hidden"):
                found[f"derived/{channel['name']}"] = info["manifest"]
    return found


def layout_current(*, experiment_id: UUID) -> LayoutVersion | None:
    """Return the layout that is current, if there is one."""
    return LayoutVersion.objects.filter(experiment_id=experiment_id, is_current=True).first()


def group_bytes(*, group_id: UUID) -> int:
    """Return the bytes a group's uploads (as announced) and products take."""
    experiments = Experiment.objects.filter(deleted_at__isnull=True, group_id=group_id)
    uploads = Acquisition.objects.filter(
        source=AcquisitionSource.UPLOADS, plate__experiment__in=experiments
    )
    made = Product.objects.filter(experiment__in=experiments)
    total = sum(rows.aggregate(n=Sum("size"))["n"] or 0 for rows in (uploads, made))
    return int(total)


def layout_edit_latest(*, experiment_id: UUID) -> LayoutEdit | None:
    """Return the corrections that hold, if there are any; the caller has checked access."""
    return LayoutEdit.objects.filter(experiment_id=experiment_id).first()


def layout_edits_list(*, user: User, experiment_id: UUID) -> QuerySet[LayoutEdit]:
    """Return all versions of the layout's corrections, newest first.

    They name wells of all plates: who was granted only a part sees none of them.
    """
    seen = reach(user=user, experiment_id=experiment_id)
    rows = LayoutEdit.objects.filter(experiment_id=experiment_id)
    rows = rows if seen.plates == "all" else rows.none()
    return rows.select_related("created_by")


def layout_get(*, user: User, experiment_id: UUID) -> LayoutVersion:
    """Return the layout that is current, with only the plates a user sees in its summary.

    Raises
    ------
    NotFound
        No layout has been made, or the experiment is not to be seen.
    """
    seen = reach(user=user, experiment_id=experiment_id)
    found = layout_current(experiment_id=experiment_id)
    if found is None:
        raise NotFound("there is no layout yet: run the workflow up to metaconfig")
    if seen.plates != "all":
        kept = {str(p) for p in seen.plates}
        plates = [p for p in found.summary.get("plates", []) if p["id"] in kept]
        own = [a for a in found.summary.get("acquisitions", []) if a["plate"] in kept]
        # Problems name files and plates that were not granted.
        found.summary = {
            **found.summary,
            "plates": plates,
            "acquisitions": own,
            "problems": [],
            "n_problems": 0,
            "n_plates": len(plates),
            **{n: sum(p[n] for p in plates) for n in ("n_wells", "n_sites")},
        }
    return found


def layout_planes(
    *,
    user: User,
    experiment_id: UUID,
    plate: UUID,
    well: str = "",
    site: int | None = None,
    after: int = 0,
    size: int = 100,
) -> list[dict[str, Any]]:
    """Return up to `size` rows of the table of planes of one plate: which page of which file is what.

    Raises
    ------
    NotFound
        There is no layout yet, or the plate is not to be seen.
    """
    import pyarrow.parquet as parquet

    plate_get(user=user, experiment_id=experiment_id, plate_id=plate)
    layout = layout_get(user=user, experiment_id=experiment_id)
    root = experiment_root(experiment_id)
    try:
        own = _sites_of(root, layout.path, str(plate), well, site)
        path = (root / layout.path).with_name("planes.parquet")
        filters = [("plate", "==", str(plate)), ("site", "in", list(own))]
        table = parquet.read_table(path, columns=PLANE_COLUMNS, filters=filters)
    except FileNotFoundError:
        raise NotFound("the layout's table of planes is not there any more") from None
    rows: list[dict[str, Any]] = table.slice(after, size).to_pylist()
    return [{**r, "site": own[r["site"]][0], "well": own[r["site"]][1]} for r in rows]


def _sites_of(
    root: Path, path: str, plate: str, well: str, site: int | None
) -> dict[int, tuple[int, str]]:
    """Return, by the uncorrected number that the table of planes uses, the chosen sites' own and well."""
    own, raw = load_layout(root, path), load_raw_layout(root, path)
    try:
        known, sites = raw_sites(raw.plate(plate)), own.plate(plate).sites
    except KeyError:
        return {}
    return {
        known.get(each.raw or "", each.index): (each.index, each.well)
        for each in sites
        if (not well or each.well == well) and (site is None or each.index == site)
    }

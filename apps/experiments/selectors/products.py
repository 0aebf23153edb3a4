"""Reads of what steps have made: layouts, mosaics, objects; and what a step may know."""

from __future__ import annotations

from uuid import UUID

from django.db.models import QuerySet, Sum

from apps.accounts.models import User
from apps.core.errors import NotFound
from apps.experiments.models import (
    Acquisition,
    AcquisitionSource,
    Experiment,
    LayoutVersion,
    Mosaic,
    ObjectSet,
    ObjectType,
    Product,
)
from apps.experiments.selectors.experiments import reach, within
from gpu_workers.messages import AcquisitionDescription, ExperimentDescription
from gpu_workers.storage import paths


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


def experiment_description(*, experiment_id: UUID) -> ExperimentDescription:
    """Return what a step may know of an experiment; for the workflow engine, so without a user."""
    experiment = Experiment.objects.get(id=experiment_id)
    rows = Acquisition.objects.filter(plate__experiment_id=experiment_id).select_related("plate")
    return ExperimentDescription(
        id=experiment.id,
        name=experiment.name,
        plate_format=experiment.plate_format,
        acquisition_mode=experiment.acquisition_mode,
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
    """Return the current manifest of every product: name to path below the experiment's folder."""
    rows = Product.objects.filter(experiment_id=experiment_id, is_current=True)
    return dict(rows.values_list("name", "path"))


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

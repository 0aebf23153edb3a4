"""Reads of what was imaged and its files: plates, acquisitions, wells, sites, channels."""

from __future__ import annotations

from uuid import UUID

from django.db.models import BigIntegerField, Count, QuerySet, Sum, Value
from django.db.models.functions import Coalesce

from apps.accounts.models import User
from apps.core.errors import NotFound, PermissionDenied
from apps.core.permissions import Level, levels
from apps.experiments.models import (
    Acquisition,
    Channel,
    Cycle,
    Inspection,
    Plate,
    Site,
    SourceFile,
    Well,
)
from apps.experiments.selectors.experiments import experiment_get, reach, reached, within


def plates_list(*, user: User, experiment_id: UUID) -> QuerySet[Plate]:
    """Return the plates of an experiment that a user sees."""
    seen = reach(user=user, experiment_id=experiment_id)
    return within(Plate.objects.filter(experiment_id=experiment_id), "id", seen.plates)


def plate_get(
    *, user: User, experiment_id: UUID, plate_id: UUID, level: Level | str = Level.VIEW
) -> Plate:
    """Return a plate; NotFound if it is not to be seen, PermissionDenied if the level is missing."""
    experiment, seen = reached(user, experiment_id)
    plate = within(Plate.objects.filter(experiment=experiment), "id", seen.plates)
    found = plate.select_related("experiment__group").filter(id=plate_id).first()
    if found is None:
        raise NotFound("there is no such plate")
    wanted = Level(level)
    if seen.level not in wanted.reached_by and wanted not in levels(user, found):
        raise PermissionDenied(f"this needs the level {wanted.value!r} on the plate")
    return found


def acquisitions_list(
    *, user: User, experiment_id: UUID, plate: UUID | None = None
) -> QuerySet[Acquisition]:
    """Return the acquisitions a user sees with `n_files` and `n_received`."""
    seen = reach(user=user, experiment_id=experiment_id)
    rows = Acquisition.objects.filter(plate__experiment_id=experiment_id)
    rows = rows.filter(plate=plate) if plate else rows
    return (
        within(rows, "plate", seen.plates)
        .select_related("plate")
        .annotate(
            n_files=Count("files"),
            n_received=Coalesce(Sum("files__received"), Value(0), output_field=BigIntegerField()),
        )
    )


def acquisition_get(
    *, user: User, experiment_id: UUID, acquisition_id: UUID, level: Level | str = Level.VIEW
) -> Acquisition:
    """Return an acquisition whose plate the user reaches with a level."""
    rows = Acquisition.objects.filter(id=acquisition_id, plate__experiment_id=experiment_id)
    found = rows.values_list("plate_id", flat=True).first()
    if found is None:
        reach(user=user, experiment_id=experiment_id)
        raise NotFound("there is no such acquisition")
    try:
        plate_get(user=user, experiment_id=experiment_id, plate_id=found, level=level)
    except NotFound:
        raise NotFound("there is no such acquisition") from None
    return rows.select_related("plate__experiment__group").get()


def acquisition_detail(*, user: User, experiment_id: UUID, acquisition_id: UUID) -> Acquisition:
    """Return an acquisition as `acquisitions_list` annotates it; raises NotFound."""
    rows = acquisitions_list(user=user, experiment_id=experiment_id)
    found = rows.filter(id=acquisition_id).first()
    if found is None:
        raise NotFound("there is no such acquisition")
    return found


def files_list(
    *, user: User, experiment_id: UUID, acquisition_id: UUID, status: str = ""
) -> QuerySet[SourceFile]:
    """Return the files of an acquisition by name."""
    acquisition = acquisition_get(
        user=user, experiment_id=experiment_id, acquisition_id=acquisition_id
    )
    rows = SourceFile.objects.filter(acquisition=acquisition)
    return rows.filter(status=status) if status else rows


def file_get(*, user: User, experiment_id: UUID, acquisition_id: UUID, name: str) -> SourceFile:
    """Return a file of an acquisition by its name; raises NotFound."""
    rows = files_list(user=user, experiment_id=experiment_id, acquisition_id=acquisition_id)
    found = rows.filter(name=name).first() if "\x00" not in name else None
    if found is None:
        raise NotFound(f"there is no file {name!r}")
    return found


def wells_list(
    *, user: User, experiment_id: UUID, plate: UUID | None = None, removed: bool = False
) -> QuerySet[Well]:
    """Return the wells of the plates a user sees, without those a newer layout dropped."""
    seen = reach(user=user, experiment_id=experiment_id)
    rows = Well.objects.filter(plate__experiment_id=experiment_id, removed=removed)
    rows = rows.filter(plate=plate) if plate else rows
    return within(rows, "plate", seen.plates).order_by("plate_id", "row", "column", "id")


def sites_list(
    *,
    user: User,
    experiment_id: UUID,
    plate: UUID | None = None,
    well: UUID | None = None,
) -> QuerySet[Site]:
    """Return the sites of the plates a user sees, by plate and index."""
    seen = reach(user=user, experiment_id=experiment_id)
    rows = Site.objects.filter(
        well__plate__experiment_id=experiment_id, removed=False, well__removed=False
    )
    rows = rows.filter(well__plate=plate) if plate else rows
    rows = rows.filter(well=well) if well else rows
    found = within(rows, "well__plate", seen.plates).select_related("well")
    return found.order_by("well__plate_id", "index", "id")


def cycles_list(*, user: User, experiment_id: UUID) -> QuerySet[Cycle]:
    """Return the cycles of an experiment."""
    experiment_get(user=user, experiment_id=experiment_id)
    return Cycle.objects.filter(experiment_id=experiment_id)


def channels_list(*, user: User, experiment_id: UUID) -> QuerySet[Channel]:
    """Return the channels of an experiment."""
    experiment_get(user=user, experiment_id=experiment_id)
    return Channel.objects.filter(experiment_id=experiment_id)


def channels_by_index(*, experiment_id: UUID) -> dict[int, Channel]:
    """Return the channels by their place on the c axis; for rows that the user already has."""
    return {c.index: c for c in Channel.objects.filter(experiment_id=experiment_id)}


def inspections_list(
    *, user: User, experiment_id: UUID, acquisition_id: UUID
) -> QuerySet[Inspection]:
    """Return the inspections of an acquisition, newest first."""
    found = acquisition_get(user=user, experiment_id=experiment_id, acquisition_id=acquisition_id)
    return Inspection.objects.filter(acquisition=found)


def inspection_get(
    *, user: User, experiment_id: UUID, acquisition_id: UUID, inspection_id: UUID
) -> Inspection:
    """Return one inspection; raises NotFound."""
    rows = inspections_list(user=user, experiment_id=experiment_id, acquisition_id=acquisition_id)
    found = rows.filter(id=inspection_id).first()
    if found is None:
        raise NotFound("there is no such inspection")
    return found

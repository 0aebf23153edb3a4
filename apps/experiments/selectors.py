"""Reads of experiments and their parts, each for somebody: what they may not see is not there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar
from uuid import UUID

from django.conf import settings
from django.db.models import (
    BigIntegerField,
    Case,
    CharField,
    Count,
    F,
    IntegerField,
    Model,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Sum,
    Value,
    When,
)
from django.db.models.functions import Coalesce

from apps.accounts.models import ResearchGroup, User
from apps.core.errors import NotFound, PermissionDenied
from apps.core.permissions import Level, highest, levels, subjects, visible
from apps.experiments.models import (
    Acquisition,
    AcquisitionSource,
    Channel,
    Cycle,
    Experiment,
    LayoutVersion,
    Mosaic,
    ObjectSet,
    ObjectType,
    Plate,
    Product,
    Site,
    SourceFile,
    Well,
)
from gpu_workers.messages import AcquisitionDescription, ExperimentDescription
from gpu_workers.storage import paths

M = TypeVar("M", bound=Model)
Some = set[UUID] | Literal["all"]


@dataclass(frozen=True, slots=True)
class Reach:
    """What of an experiment a user sees.

    Attributes
    ----------
    plates
        Plates whose pixels, wells and files they see, or "all".
    object_types
        Object types whose names, labels, outlines and features they see (on those plates), or "all".
    level
        Their level on the experiment itself; "view" where only parts are granted.
    """

    plates: Some
    object_types: Some
    level: Level


@dataclass(frozen=True, slots=True)
class Access:
    """One grant: somebody's level on an experiment or on a part of it."""

    subject: UUID
    kind: Literal["user", "group"]
    name: str
    level: Level
    plate: Plate | None = None
    object_type: ObjectType | None = None


def _alive() -> QuerySet[Experiment]:
    return Experiment.objects.filter(deleted_at__isnull=True)


def experiment_root(experiment_id: UUID | str) -> Path:
    """Return the experiment's folder, whether or not it exists."""
    return paths.experiment_root(Path(settings.TISSUEMAPS_DATA), experiment_id)


def _plates_seen(user: User) -> QuerySet[Plate]:
    whole = visible(user, _alive()).values("id")
    part = visible(user, Plate.objects.all()).values("id")
    return Plate.objects.filter(Q(experiment__in=whole) | Q(id__in=part))


def _types_seen(user: User) -> QuerySet[ObjectType]:
    whole = visible(user, _alive()).values("id")
    part = visible(user, ObjectType.objects.all()).values("id")
    return ObjectType.objects.filter(Q(experiment__in=whole) | Q(id__in=part))


def _number(rows: QuerySet[Any], field: str = "id") -> Coalesce:
    """Return the number of rows of a subquery that is grouped by its experiment."""
    counted = rows.order_by().values("experiment_key").annotate(n=Count(field)).values("n")
    return Coalesce(Subquery(counted, output_field=IntegerField()), 0)


def experiments_list(*, user: User) -> QuerySet[Experiment]:
    """Return the experiments a user may see, newest first, with `role` and counts of what they see.

    Annotated: ``role`` (view, edit, own), ``n_plates``, ``n_wells``, ``n_sites``, ``n_objects``.
    """
    plates, types = _plates_seen(user), _types_seen(user)
    outer = Q(experiment_key=OuterRef("id"))
    plate_rows = plates.annotate(experiment_key=F("experiment_id")).filter(outer)
    inside = {"plate__in": plates.values("id"), "removed": False}
    well_rows = Well.objects.filter(**inside).annotate(experiment_key=F("plate__experiment_id"))
    site_rows = Site.objects.filter(
        well__plate__in=plates.values("id"), well__removed=False, removed=False
    ).annotate(experiment_key=F("well__plate__experiment_id"))
    objects = (
        ObjectSet.objects.filter(is_current=True, plate__in=plates, object_type__in=types)
        .annotate(experiment_key=F("experiment_id"))
        .filter(outer)
        .order_by()
        .values("experiment_key")
        .annotate(n=Sum("n_objects"))
        .values("n")
    )
    seen = (
        Q(id__in=visible(user, _alive()).values("id"))
        | Q(id__in=visible(user, Plate.objects.all()).values("experiment_id"))
        | Q(id__in=visible(user, ObjectType.objects.all()).values("experiment_id"))
    )
    return (
        _alive()
        .filter(seen)
        .select_related("group")
        .annotate(
            role=Case(
                When(id__in=visible(user, _alive(), Level.OWN).values("id"), then=Value("own")),
                When(id__in=visible(user, _alive(), Level.EDIT).values("id"), then=Value("edit")),
                default=Value("view"),
                output_field=CharField(),
            ),
            n_plates=_number(plate_rows),
            n_wells=_number(well_rows.filter(outer)),
            n_sites=_number(site_rows.filter(outer)),
            n_objects=Coalesce(Subquery(objects, output_field=IntegerField()), 0),
        )
    )


def experiment_detail(*, user: User, experiment_id: UUID) -> Experiment:
    """Return one experiment as `experiments_list` annotates it; raises NotFound."""
    found = experiments_list(user=user).filter(id=experiment_id).first()
    if found is None:
        raise NotFound("there is no such experiment")
    return found


def _parts(user: User, experiment: Experiment) -> tuple[set[UUID], set[UUID]]:
    plates = visible(user, Plate.objects.filter(experiment=experiment))
    types = visible(user, ObjectType.objects.filter(experiment=experiment))
    return set(plates.values_list("id", flat=True)), set(types.values_list("id", flat=True))


def _reached(user: User, experiment_id: UUID) -> tuple[Experiment, Reach]:
    experiment = _alive().select_related("group").filter(id=experiment_id).first()
    if experiment is None:
        raise NotFound("there is no such experiment")
    level = highest(levels(user, experiment))
    if level is not None:
        return experiment, Reach("all", "all", level)
    plates, types = _parts(user, experiment)
    if not plates and not types:
        raise NotFound("there is no such experiment")
    return experiment, Reach(plates, types, Level.VIEW)


def reach(*, user: User, experiment_id: UUID) -> Reach:
    """Return what a user sees of an experiment; raises NotFound if that is nothing."""
    return _reached(user, experiment_id)[1]


def experiment_get(
    *, user: User, experiment_id: UUID, level: Level | str = Level.VIEW
) -> Experiment:
    """Return an experiment on which the user has a level.

    A grant on a part is enough to look at the experiment, never to change it.

    Raises
    ------
    NotFound
        No such experiment, or the user may not see any of it.
    PermissionDenied
        The user may see it but lacks the level.
    """
    experiment, seen = _reached(user, experiment_id)
    if seen.level not in Level(level).reached_by:
        raise PermissionDenied(f"this needs the level {Level(level).value!r} on the experiment")
    return experiment


def _within(rows: QuerySet[M], field: str, some: Some) -> QuerySet[M]:
    return rows if some == "all" else rows.filter(**{f"{field}__in": some})


def plates_list(*, user: User, experiment_id: UUID) -> QuerySet[Plate]:
    """Return the plates of an experiment that a user sees."""
    seen = reach(user=user, experiment_id=experiment_id)
    return _within(Plate.objects.filter(experiment_id=experiment_id), "id", seen.plates)


def plate_get(
    *, user: User, experiment_id: UUID, plate_id: UUID, level: Level | str = Level.VIEW
) -> Plate:
    """Return a plate; NotFound if it is not to be seen, PermissionDenied if the level is missing."""
    experiment, seen = _reached(user, experiment_id)
    plate = _within(Plate.objects.filter(experiment=experiment), "id", seen.plates)
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
        _within(rows, "plate", seen.plates)
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
    return _within(rows, "plate", seen.plates).order_by("plate_id", "row", "column", "id")


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
    found = _within(rows, "well__plate", seen.plates).select_related("well")
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


def mosaics_list(
    *, user: User, experiment_id: UUID, current: bool | None = None, plate: UUID | None = None
) -> QuerySet[Mosaic]:
    """Return the mosaics of the plates a user sees."""
    seen = reach(user=user, experiment_id=experiment_id)
    rows = Mosaic.objects.filter(experiment_id=experiment_id).select_related("plate")
    rows = rows if current is None else rows.filter(is_current=current)
    rows = rows.filter(plate=plate) if plate else rows
    return _within(rows, "plate", seen.plates)


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
    return _within(rows, "id", seen.object_types)


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
    return _within(_within(rows, "plate", seen.plates), "object_type", seen.object_types)


def object_set_get(*, user: User, experiment_id: UUID, object_set_id: UUID) -> ObjectSet:
    """Return an object set; raises NotFound."""
    rows = object_sets_list(user=user, experiment_id=experiment_id)
    found = rows.filter(id=object_set_id).first()
    if found is None:
        raise NotFound("there is no such object set")
    return found


def access_list(*, user: User, experiment_id: UUID) -> list[Access]:
    """Return every grant on an experiment and its parts; for its owners."""
    experiment = experiment_get(user=user, experiment_id=experiment_id, level=Level.OWN)
    found = [_access(subject, level) for subject, level in subjects(experiment)]
    for plate in Plate.objects.filter(experiment=experiment):
        found += [_access(s, level, plate=plate) for s, level in subjects(plate)]
    for kind in ObjectType.objects.filter(experiment=experiment):
        found += [_access(s, level, object_type=kind) for s, level in subjects(kind)]
    return found


def _access(subject: Any, level: Level, **part: Any) -> Access:
    if isinstance(subject, User):
        return Access(subject.id, "user", subject.username, level, **part)
    group: ResearchGroup = subject.research_group
    return Access(group.id, "group", group.name, level, **part)


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

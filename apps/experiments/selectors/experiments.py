"""Who sees which experiment, and what of it; entry points: `reach`, `experiment_get`, `experiments_list`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar
from uuid import UUID

from django.conf import settings
from django.db.models import (
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
from apps.experiments.models import Experiment, ObjectSet, ObjectType, Plate, Site, Well
from gpu_workers.storage import paths
from gpu_workers.storage.layout import REGION_TYPES

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
        .exclude(object_type__name__in=REGION_TYPES)
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


def reached(user: User, experiment_id: UUID) -> tuple[Experiment, Reach]:
    """Return an experiment and what of it a user sees; raises NotFound if that is nothing."""
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
    return reached(user, experiment_id)[1]


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
    experiment, seen = reached(user, experiment_id)
    if seen.level not in Level(level).reached_by:
        raise PermissionDenied(f"this needs the level {Level(level).value!r} on the experiment")
    return experiment


def within(rows: QuerySet[M], field: str, some: Some) -> QuerySet[M]:
    """Return the rows whose field is among some, or all of them."""
    return rows if some == "all" else rows.filter(**{f"{field}__in": some})


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

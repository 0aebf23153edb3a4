"""Writes of experiments, plates, acquisitions and channels."""

from __future__ import annotations

from typing import Any, TypeVar
from uuid import UUID

from django.db import transaction
from django.db.models import Max, Model
from django.utils import timezone

from apps.accounts.models import GroupPolicy, ResearchGroup, User
from apps.accounts.selectors import groups_list
from apps.core import audit, permissions
from apps.core.errors import Conflict, Invalid, NotFound
from apps.core.permissions import Level
from apps.experiments.models import Acquisition, Channel, Experiment, Plate
from apps.experiments.selectors import acquisition_get, experiment_get, plate_get
from apps.experiments.services.access import access_changed
from apps.jobs.services import jobs_kill
from gpu_workers import registry
from gpu_workers.errors import UserError
from gpu_workers.formats.pattern import compile_pattern

M = TypeVar("M", bound=Model)
GROUP_LEVEL = {GroupPolicy.GROUP_READ: Level.VIEW, GroupPolicy.GROUP_WRITE: Level.EDIT}


def _group_for(user: User, group_id: UUID | None) -> ResearchGroup:
    groups = groups_list(user=user)
    found = list(groups.filter(id=group_id) if group_id else groups[:2])
    if not found:
        raise Invalid("you are not a member of such a group", code="unknown_group")
    if len(found) > 1:
        raise Invalid("you are in several groups: name one as group", code="group_required")
    return found[0]


def _check_reader(name: str) -> None:
    if name and name not in registry.names("readers"):
        known = ", ".join(registry.names("readers"))
        raise Invalid(f"no reader is called {name!r}; known: {known}", code="unknown_microscope")


def _check_pattern(pattern: str) -> None:
    if not pattern:
        return
    try:
        compile_pattern(pattern)
    except UserError as error:
        raise Invalid(error.message, code=error.code) from None


def _check_name(rows: Any, name: str, what: str) -> None:
    if rows.filter(name=name).exists():
        raise Conflict(f"there already is {what} {name!r}", code="name_taken")


@transaction.atomic
def experiment_create(*, user: User, group: UUID | None = None, **fields: Any) -> Experiment:
    """Make an experiment in one of the user's groups; its maker owns it, its group's policy shares it.

    `fields` are the columns of `Experiment` that a person may set.

    Raises
    ------
    Invalid
        The user is in no such group, or no reader has the microscope's name.
    Conflict
        The group has an experiment of that name.
    """
    owner_group = _group_for(user, group)
    _check_reader(fields.get("microscope", ""))
    ResearchGroup.objects.select_for_update().get(id=owner_group.id)
    alive = Experiment.objects.filter(group=owner_group, deleted_at__isnull=True)
    _check_name(alive, fields["name"], "an experiment")
    experiment = Experiment.objects.create(group=owner_group, created_by=user, **fields)
    permissions.grant(subject=user, level=Level.OWN, obj=experiment)
    level = GROUP_LEVEL.get(GroupPolicy(owner_group.policy))
    if level:
        permissions.grant(subject=owner_group.group, level=level, obj=experiment)
    audit.record(actor=user, action="experiment.create", obj=experiment, group=owner_group.name)
    return experiment


@transaction.atomic
def experiment_update(*, user: User, experiment_id: UUID, **fields: Any) -> Experiment:
    """Change columns of an experiment that a person may set."""
    experiment = experiment_get(user=user, experiment_id=experiment_id, level=Level.EDIT)
    _check_reader(fields.get("microscope", ""))
    if "name" in fields:
        ResearchGroup.objects.select_for_update().get(id=experiment.group_id)
        alive = Experiment.objects.filter(group=experiment.group, deleted_at__isnull=True)
        _check_name(alive.exclude(id=experiment.id), fields["name"], "an experiment")
    return _saved(experiment, fields)


def _saved(row: M, fields: dict[str, Any]) -> M:
    for name, value in fields.items():
        setattr(row, name, value)
    if fields:
        row.save(update_fields=[*fields, "updated_at"])
    return row


@transaction.atomic
def experiment_delete(*, user: User, experiment_id: UUID) -> None:
    """Hide an experiment from everybody and end its jobs; rows and files are collected later."""
    experiment = experiment_get(user=user, experiment_id=experiment_id, level=Level.OWN)
    _saved(experiment, {"deleted_at": timezone.now()})
    jobs_kill(scope=experiment_id)
    access_changed([experiment_id])
    audit.record(actor=user, action="experiment.delete", obj=experiment)


@transaction.atomic
def plate_create(*, user: User, experiment_id: UUID, name: str, description: str = "") -> Plate:
    """Add a plate to an experiment; Conflict if its name is taken."""
    experiment = experiment_get(user=user, experiment_id=experiment_id, level=Level.EDIT)
    Experiment.objects.select_for_update().get(id=experiment_id)
    _check_name(Plate.objects.filter(experiment=experiment), name, "a plate")
    return Plate.objects.create(experiment=experiment, name=name, description=description)


@transaction.atomic
def plate_update(*, user: User, experiment_id: UUID, plate_id: UUID, **fields: Any) -> Plate:
    """Rename or describe a plate."""
    plate = plate_get(user=user, experiment_id=experiment_id, plate_id=plate_id, level=Level.EDIT)
    if "name" in fields:
        Experiment.objects.select_for_update().get(id=experiment_id)
        others = Plate.objects.filter(experiment=plate.experiment).exclude(id=plate.id)
        _check_name(others, fields["name"], "a plate")
    return _saved(plate, fields)


@transaction.atomic
def plate_delete(*, user: User, experiment_id: UUID, plate_id: UUID) -> None:
    """Delete a plate's rows; its uploads go with the next collection. Needs the experiment."""
    experiment_get(user=user, experiment_id=experiment_id, level=Level.EDIT)
    plate = plate_get(user=user, experiment_id=experiment_id, plate_id=plate_id)
    audit.record(actor=user, action="plate.delete", obj=plate, experiment=str(experiment_id))
    for acquisition in Acquisition.objects.filter(plate=plate):
        _acquisition_deleted(user, acquisition, experiment_id)
    plate.delete()
    access_changed([experiment_id])


@transaction.atomic
def acquisition_create(
    *, user: User, experiment_id: UUID, plate: UUID, name: str, **fields: Any
) -> Acquisition:
    """Add an acquisition to a plate, after those it has."""
    try:
        owner = plate_get(user=user, experiment_id=experiment_id, plate_id=plate, level=Level.EDIT)
    except NotFound:
        experiment_get(user=user, experiment_id=experiment_id)
        raise Invalid("there is no such plate in the experiment", code="unknown_plate") from None
    _check_reader(fields.get("microscope", ""))
    _check_pattern(fields.get("pattern", ""))
    Plate.objects.select_for_update().get(id=owner.id)
    rows = Acquisition.objects.filter(plate=owner)
    _check_name(rows, name, "an acquisition")
    last = rows.aggregate(last=Max("index"))["last"]
    index = 0 if last is None else last + 1
    return Acquisition.objects.create(plate=owner, name=name, index=index, **fields)


@transaction.atomic
def acquisition_update(
    *, user: User, experiment_id: UUID, acquisition_id: UUID, **fields: Any
) -> Acquisition:
    """Change name, description, reader or pattern; the next run of the workflow reads the files so.

    Raises
    ------
    Invalid
        No such reader, a pattern that is none, or a name that the plate has already.
    """
    acquisition = acquisition_get(
        user=user, experiment_id=experiment_id, acquisition_id=acquisition_id, level=Level.EDIT
    )
    _check_reader(fields.get("microscope", ""))
    _check_pattern(fields.get("pattern", ""))
    Plate.objects.select_for_update().get(id=acquisition.plate_id)
    if "name" in fields:
        others = Acquisition.objects.filter(plate=acquisition.plate_id).exclude(id=acquisition.id)
        _check_name(others, fields["name"], "an acquisition")
    for name, value in fields.items():
        setattr(acquisition, name, value)
    acquisition.save(update_fields=[*fields, "updated_at"])
    return acquisition


def _acquisition_deleted(user: User, acquisition: Acquisition, experiment_id: UUID) -> None:
    audit.record(
        actor=user,
        action="acquisition.delete",
        obj=acquisition,
        experiment=str(experiment_id),
        files=acquisition.files.count(),
    )


@transaction.atomic
def acquisition_delete(*, user: User, experiment_id: UUID, acquisition_id: UUID) -> None:
    """Delete an acquisition's rows; what was uploaded goes with the next collection."""
    acquisition = acquisition_get(
        user=user,
        experiment_id=experiment_id,
        acquisition_id=acquisition_id,
        level=Level.EDIT,
    )
    _acquisition_deleted(user, acquisition, experiment_id)
    acquisition.delete()


@transaction.atomic
def channel_update(*, user: User, experiment_id: UUID, channel_id: UUID, **fields: Any) -> Channel:
    """Set a channel's name or colour; a later layout of the same channel leaves them."""
    experiment_get(user=user, experiment_id=experiment_id, level=Level.EDIT)
    channel = Channel.objects.filter(experiment_id=experiment_id, id=channel_id).first()
    if channel is None:
        raise NotFound("there is no such channel")
    return _saved(channel, {**fields, "edited": True})

"""Sharing: grants on experiments and their parts, and the epoch that every change of access bumps."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal
from uuid import UUID

from django.db import transaction
from django.db.models import F

from apps.accounts.models import ResearchGroup, User
from apps.accounts.selectors import group_named, subject_get, user_named
from apps.core import audit, permissions
from apps.core.errors import Conflict, Invalid, NotFound
from apps.core.permissions import Level
from apps.core.valkey import epoch_publish
from apps.experiments.models import Experiment, ObjectType, Plate
from apps.experiments.selectors import Access, experiment_get


def access_changed(experiment_ids: Iterable[UUID]) -> None:
    """Bump the access epochs of experiments and mirror them in Valkey after the commit.

    Rows are locked in the order of their ids, so that two changes never wait for each other.
    """
    ids = sorted(set(experiment_ids))
    if not ids:
        return
    list(Experiment.objects.select_for_update().filter(id__in=ids).order_by("id").values_list("id"))
    Experiment.objects.filter(id__in=ids).update(access_epoch=F("access_epoch") + 1)
    rows = list(Experiment.objects.filter(id__in=ids).values_list("id", "access_epoch"))

    def mirror() -> None:
        for experiment_id, epoch in rows:
            epoch_publish(experiment_id=experiment_id, epoch=epoch)

    transaction.on_commit(mirror)


def reach_changed(subject: User | ResearchGroup) -> None:
    """Bump the epochs of all experiments that a user or a group's members reach."""
    if isinstance(subject, ResearchGroup):
        holders: list[Any] = [subject.group]
    else:
        holders = [subject, *subject.groups.all()]
    found: set[UUID] = set()
    for holder in holders:
        found |= permissions.granted(holder, Experiment)
        plates = Plate.objects.filter(id__in=permissions.granted(holder, Plate))
        types = ObjectType.objects.filter(id__in=permissions.granted(holder, ObjectType))
        found |= set(plates.values_list("experiment_id", flat=True))
        found |= set(types.values_list("experiment_id", flat=True))
    access_changed(found)


def _part(
    experiment: Experiment, plate: UUID | None, object_type: UUID | None
) -> tuple[Any, dict[str, Any]]:
    """Return what a grant is on, and the keyword that names the part."""
    if plate and object_type:
        raise Invalid("name a plate or an object type, not both", code="two_parts")
    if plate:
        found = Plate.objects.filter(experiment=experiment, id=plate).first()
        if found is None:
            raise Invalid("there is no such plate in the experiment", code="unknown_plate")
        return found, {"plate": found}
    if object_type:
        kind = ObjectType.objects.filter(experiment=experiment, id=object_type).first()
        if kind is None:
            raise Invalid("there is no such object type", code="unknown_object_type")
        return kind, {"object_type": kind}
    return experiment, {}


def _holder(subject: User | ResearchGroup) -> Any:
    return subject.group if isinstance(subject, ResearchGroup) else subject


def _keep_an_owner(experiment: Experiment, subject: User | ResearchGroup) -> None:
    """Refuse what would leave an experiment without an owner."""
    holder = _holder(subject)
    owners = [s for s, level in permissions.subjects(experiment) if level == Level.OWN]
    if owners == [holder]:
        raise Conflict("the experiment needs at least one owner", code="last_owner")


@transaction.atomic
def access_grant(
    *,
    user: User,
    experiment_id: UUID,
    level: str,
    subject_user: str = "",
    subject_group: str = "",
    plate: UUID | None = None,
    object_type: UUID | None = None,
) -> Access:
    """Give somebody a level on an experiment, or on one plate or object type of it; for owners.

    Raises
    ------
    Invalid
        Unknown subject or part, or a part together with "own".
    Conflict
        It would take the level of the last owner.
    """
    experiment = experiment_get(user=user, experiment_id=experiment_id, level=Level.OWN)
    if bool(subject_user) == bool(subject_group):
        raise Invalid("name either a user or a group", code="one_subject")
    subject = user_named(subject_user) if subject_user else group_named(subject_group)
    target, part = _part(experiment, plate, object_type)
    if part and level == Level.OWN:
        raise Invalid("only a whole experiment can be owned", code="part_not_ownable")
    Experiment.objects.select_for_update().get(id=experiment_id)
    if not part and level != Level.OWN:
        _keep_an_owner(experiment, subject)
    permissions.grant(subject=_holder(subject), level=level, obj=target)
    audit.record(
        actor=user,
        action="access.grant",
        obj=target,
        experiment=str(experiment_id),
        subject=str(subject.id),
        subject_name=str(subject),
        level=level,
    )
    access_changed([experiment_id])
    kind: Literal["user", "group"] = "user" if isinstance(subject, User) else "group"
    return Access(subject.id, kind, str(subject), Level(level), **part)


@transaction.atomic
def access_revoke(
    *,
    user: User,
    experiment_id: UUID,
    subject_id: UUID,
    plate: UUID | None = None,
    object_type: UUID | None = None,
) -> None:
    """Take a grant back; owners take anybody's, everybody may give up their own."""
    level = Level.VIEW if subject_id == user.id else Level.OWN
    experiment = experiment_get(user=user, experiment_id=experiment_id, level=level)
    subject = subject_get(subject_id)
    target, part = _part(experiment, plate, object_type)
    Experiment.objects.select_for_update().get(id=experiment_id)
    if not part:
        _keep_an_owner(experiment, subject)
    if not permissions.revoke(subject=_holder(subject), obj=target):
        raise NotFound("there is no such grant")
    audit.record(
        actor=user,
        action="access.revoke",
        obj=target,
        experiment=str(experiment_id),
        subject=str(subject.id),
        subject_name=str(subject),
    )
    access_changed([experiment_id])

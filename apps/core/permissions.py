"""The one gate: who may see, edit or own an experiment, a plate or an object type.

Levels are rows of guardian's direct-foreign-key tables, one row for a subject and an object. Neither
Django's model permissions nor being a superuser count: nobody sees data by administering.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Any, TypeVar
from uuid import UUID

from django.contrib.auth.models import Group
from django.db import models
from guardian.models import GroupObjectPermissionBase, UserObjectPermissionBase
from guardian.shortcuts import assign_perm, get_objects_for_user
from guardian.utils import get_group_obj_perms_model, get_user_obj_perms_model

M = TypeVar("M", bound=models.Model)

UserGrant = UserObjectPermissionBase
GroupGrant = GroupObjectPermissionBase
PERMISSIONS: list[tuple[str, Any]] = [
    ("level_view", "may look"),
    ("level_edit", "may change"),
    ("level_own", "may share and delete"),
]


class Level(StrEnum):
    """What a subject may do with an object; each level holds those before it."""

    VIEW = "view"
    EDIT = "edit"
    OWN = "own"

    @property
    def codename(self) -> str:
        """Name of the permission row that stands for this level."""
        return f"level_{self.value}"

    @property
    def reached_by(self) -> list[Level]:
        """The levels that hold this one, itself first."""
        order = list(Level)
        return order[order.index(self) :]


LEVELS = [(level.value, level.value) for level in Level]


def _by_user(model: Any) -> Any:
    return get_user_obj_perms_model(model)


def _by_group(model: Any) -> Any:
    return get_group_obj_perms_model(model)


def _codenames(level: Level) -> list[str]:
    return [each.codename for each in level.reached_by]


def _grants(model: Any, subject: Any) -> Any:
    """Return the grant rows of a user or a Django group on objects of a model."""
    if isinstance(subject, Group):
        return _by_group(model).objects.filter(group=subject)
    return _by_user(model).objects.filter(user=subject)


def grant(*, subject: Any, level: Level | str, obj: models.Model) -> None:
    """Give a user or a Django group exactly this level on an object, in place of any other."""
    level = Level(level)
    _grants(obj, subject).filter(content_object=obj).exclude(
        permission__codename=level.codename
    ).delete()
    assign_perm(level.codename, subject, obj)


def revoke(*, subject: Any, obj: models.Model) -> bool:
    """Take every level on an object from a user or a Django group; says whether there was one."""
    deleted, _ = _grants(obj, subject).filter(content_object=obj).delete()
    return bool(deleted)


def levels(user: Any, obj: models.Model) -> set[Level]:
    """Return all levels a user has on an object, directly or through a group."""
    if not user.is_authenticated or not user.is_active:
        return set()
    own = _grants(obj, user).filter(content_object=obj).values_list("permission__codename")
    through = _by_group(obj).objects.filter(group__user=user, content_object=obj)
    names = {name for (name,) in own.union(through.values_list("permission__codename"))}
    return {low for low in Level if names & set(_codenames(low))}


def highest(found: Iterable[Level]) -> Level | None:
    """Return the highest of some levels."""
    order = list(Level)
    return max(found, key=order.index, default=None)


def visible(
    user: Any, queryset: models.QuerySet[M], level: Level | str = Level.VIEW
) -> models.QuerySet[M]:
    """Return those rows of a queryset on which the user has at least this level."""
    if not user.is_authenticated or not user.is_active:
        return queryset.none()
    # Names without an application's label: three models share them, and the query set tells which.
    found: models.QuerySet[M] = get_objects_for_user(
        user,
        _codenames(Level(level)),
        klass=queryset,
        any_perm=True,
        with_superuser=False,
        accept_global_perms=False,
    )
    return found


def subjects(obj: models.Model) -> list[tuple[Any, Level]]:
    """Return (user or Django group, level) of everybody with a grant on an object."""
    found: list[tuple[Any, Level]] = []
    for model, field in (
        (_by_user(obj), "user"),
        (_by_group(obj), "group"),
    ):
        rows = (
            model.objects.filter(content_object=obj)
            .select_related(field, "permission")
            .order_by("id")
        )
        found += [
            (getattr(row, field), Level(row.permission.codename.removeprefix("level_")))
            for row in rows
        ]
    return found


def granted(subject: Any, model: type[models.Model]) -> set[UUID]:
    """Return the keys of objects of a model on which a user or a Django group has a grant itself."""
    return set(_grants(model, subject).values_list("content_object_id", flat=True))

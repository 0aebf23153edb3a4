"""Reads of users, groups and tokens; everybody sees their own."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet

from apps.accounts.models import ApiToken, Membership, ResearchGroup, Role, User
from apps.core.errors import Invalid, NotFound, PermissionDenied


def groups_list(*, user: User) -> QuerySet[ResearchGroup]:
    """Return the groups a user is a member of."""
    return ResearchGroup.objects.filter(memberships__user=user)


def group_get(*, user: User, group_id: UUID, manage: bool = False) -> ResearchGroup:
    """Return a group of the user's.

    Raises
    ------
    NotFound
        No such group, or the user is not a member.
    PermissionDenied
        The user is a member but `manage` asks for a manager.
    """
    membership = (
        Membership.objects.filter(user=user, group_id=group_id).select_related("group").first()
    )
    if membership is None:
        raise NotFound("there is no such group")
    if manage and membership.role != Role.MANAGER:
        raise PermissionDenied("only a manager of the group may do this")
    return membership.group


def memberships_of(*, user: User) -> QuerySet[Membership]:
    """Return a user's memberships with their groups."""
    return Membership.objects.filter(user=user).select_related("group").order_by("group__name")


def members_list(*, user: User, group_id: UUID) -> QuerySet[Membership]:
    """Return the members of one of the user's groups."""
    group = group_get(user=user, group_id=group_id)
    return Membership.objects.filter(group=group).select_related("user")


def tokens_list(*, user: User) -> QuerySet[ApiToken]:
    """Return a user's tokens; their texts are not stored."""
    tokens: QuerySet[ApiToken] = ApiToken.objects.filter(user=user)
    return tokens


def _by_id_or(field: str, value: str) -> Q:
    try:
        return Q(id=UUID(value)) | Q(**{field: value})
    except ValueError:
        return Q(**{field: value})


def user_named(name: str) -> User:
    """Return the active user of a user name or id; raises Invalid."""
    user = User.objects.filter(_by_id_or("username", name), is_active=True).first()
    if user is None:
        raise Invalid(f"there is no user {name!r}", code="unknown_user")
    return user


def group_named(name: str) -> ResearchGroup:
    """Return the group of a name or id; raises Invalid."""
    group = ResearchGroup.objects.filter(_by_id_or("name", name)).first()
    if group is None:
        raise Invalid(f"there is no group {name!r}", code="unknown_group")
    return group


def subject_get(identifier: UUID) -> Any:
    """Return the user or the research group with an id; raises NotFound."""
    found = (
        User.objects.filter(id=identifier).first()
        or ResearchGroup.objects.select_related("group").filter(id=identifier).first()
    )
    if found is None:
        raise NotFound("there is no such user or group")
    return found

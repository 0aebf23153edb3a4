"""Writes of groups, memberships and tokens. Django's groups are written here and nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

from django.contrib.auth import authenticate
from django.contrib.auth.models import Group
from django.db import transaction
from django.utils import timezone

from apps.accounts.models import (
    ApiToken,
    GroupPolicy,
    Membership,
    ResearchGroup,
    Role,
    TokenScope,
    User,
)
from apps.accounts.selectors import group_get, user_named
from apps.core import audit
from apps.core.authentication import WINDOW_S, login_is_blocked
from apps.core.errors import ApplicationError, Conflict, NotFound

AccessChanged = Callable[[User | ResearchGroup], None]
_listeners: list[AccessChanged] = []


def when_access_changes(listener: AccessChanged) -> None:
    """Have a function called, inside the transaction, when a user or a group's members change reach.

    The experiments, which this application may not import, register here to bump access epochs.
    """
    if listener not in _listeners:
        _listeners.append(listener)


def _changed(subject: User | ResearchGroup) -> None:
    for listener in _listeners:
        listener(subject)


@transaction.atomic
def user_activity_set(*, user: User, active: bool, actor: User | None = None) -> None:
    """Close or open an account; a closed one loses its reach and its tokens at once."""
    User.objects.filter(id=user.id).update(is_active=active)
    if not active:
        ApiToken.objects.filter(user=user).delete()
    audit.record(actor=actor, action="user.open" if active else "user.close", obj=user)
    _changed(user)


@transaction.atomic
def group_create(
    *,
    name: str,
    actor: User | None = None,
    policy: str = GroupPolicy.PRIVATE,
    **quotas: int,
) -> ResearchGroup:
    """Make a research group together with the Django group that carries its permissions.

    `quotas` are ``quota_bytes``, ``quota_gpu_s`` and ``quota_jobs``; what is left out has its default.
    """
    if ResearchGroup.objects.filter(name=name).exists():
        raise Conflict(f"there already is a group {name!r}", code="name_taken")
    group = ResearchGroup(name=name, policy=policy, **quotas)
    group.group = Group.objects.create(name=f"research-group {group.id}")
    group.save()
    audit.record(actor=actor, action="group.create", obj=group)
    return group


@transaction.atomic
def membership_set(
    *, group: ResearchGroup, user: User, role: str = Role.MEMBER, actor: User | None = None
) -> Membership:
    """Make a user a member of a group, or change the role of one."""
    ResearchGroup.objects.select_for_update().get(id=group.id)
    membership, created = Membership.objects.update_or_create(
        user=user, group=group, defaults={"role": role}
    )
    user.groups.add(group.group)
    audit.record(
        actor=actor, action="membership.set", obj=group, user=user.get_username(), role=role
    )
    if created:
        _changed(group)
    return membership


@transaction.atomic
def membership_remove(*, group: ResearchGroup, user: User, actor: User | None = None) -> None:
    """Take a user out of a group; a group never loses its last manager that way."""
    ResearchGroup.objects.select_for_update().get(id=group.id)
    membership = Membership.objects.filter(group=group, user=user).first()
    if membership is None:
        raise NotFound("the user is not a member of the group")
    others = Membership.objects.filter(group=group, role=Role.MANAGER).exclude(id=membership.id)
    if membership.role == Role.MANAGER and not others.exists():
        raise Conflict("the group needs at least one manager", code="last_manager")
    membership.delete()
    user.groups.remove(group.group)
    audit.record(actor=actor, action="membership.remove", obj=group, user=user.get_username())
    _changed(group)


def member_add(*, user: User, group_id: UUID, member: str, role: str = Role.MEMBER) -> Membership:
    """Have a manager make somebody (by user name or id) a member."""
    group = group_get(user=user, group_id=group_id, manage=True)
    return membership_set(group=group, user=user_named(member), role=role, actor=user)


def member_remove(*, user: User, group_id: UUID, member_id: UUID) -> None:
    """Have a manager take somebody out of the group."""
    group = group_get(user=user, group_id=group_id, manage=True)
    found = User.objects.filter(id=member_id).first()
    if found is None:
        raise NotFound("the user is not a member of the group")
    membership_remove(group=group, user=found, actor=user)


@transaction.atomic
def token_create(
    *,
    username: str,
    password: str,
    name: str,
    scope: str = TokenScope.WRITE,
    expires_days: int = 30,
    address: str = "",
) -> tuple[ApiToken, str]:
    """Return a new token row and, the only time, the token's text.

    Raises
    ------
    ApplicationError
        ``authentication_failed`` (401): user name or password are wrong, or the account is closed;
        ``too_many_attempts`` (429): too many wrong passwords for the name from `address`.
    """
    user = authenticate(username=username, password=password, address=address)
    if user is None and login_is_blocked(name=username, address=address):
        raise ApplicationError(
            "too many tries with a wrong password; wait five minutes",
            code="too_many_attempts",
            status=429,
            extra={"retry_after_s": WINDOW_S},
        )
    if not isinstance(user, User):
        raise ApplicationError(
            "user name or password are wrong", code="authentication_failed", status=401
        )
    token, text = ApiToken.objects.create(
        user=user, expiry=timedelta(days=expires_days), name=name, scope=scope
    )
    audit.record(actor=user, action="token.create", obj=token, object_name=name, scope=scope)
    return token, text


@transaction.atomic
def token_revoke(*, user: User, token_id: UUID) -> None:
    """Delete one of the user's tokens; raises NotFound."""
    token = ApiToken.objects.filter(user=user, id=token_id).first()
    if token is None:
        raise NotFound("there is no such token")
    audit.record(actor=user, action="token.revoke", obj=token, object_name=token.name)
    token.delete()


def tokens_collect() -> int:
    """Delete expired tokens and say how many there were."""
    deleted, _ = ApiToken.objects.filter(expiry__lt=timezone.now()).delete()
    return int(deleted)

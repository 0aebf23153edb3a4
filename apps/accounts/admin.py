"""Users, groups, memberships and tokens in Django's admin."""

# Django fixes the signatures.
# ruff: noqa: ARG002

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.db.models import QuerySet
from django.http import HttpRequest

from apps.accounts.models import ApiToken, Membership, ResearchGroup, User
from apps.accounts.services import (
    group_create,
    membership_remove,
    membership_set,
    user_activity_set,
)
from apps.core import audit

admin.site.unregister(Group)


@admin.register(User)
class UserAdmin(DjangoUserAdmin[User]):
    """Accounts; groups are shown but written through memberships only."""

    list_display = ("username", "email", "is_active", "is_staff", "is_superuser", "last_login")
    readonly_fields = ("last_login", "date_joined", "groups")

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        """Save; closing or opening an account goes through the service."""
        super().save_model(request, obj, form, change)
        if change and "is_active" in form.changed_data:
            user_activity_set(
                user=obj,
                active=obj.is_active,
                actor=request.user,  # type: ignore[arg-type]
            )

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse: close an account instead, so that no experiment loses its only owner."""
        return False


class ReadOnlyAdmin(admin.ModelAdmin[Any]):
    """An admin that changes nothing."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nothing is added by hand."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nothing is changed by hand."""
        return False


class MembershipInline(admin.TabularInline[Membership, ResearchGroup]):
    """Members of a group, to read."""

    model = Membership
    extra = 0
    can_delete = False
    readonly_fields = ("user", "role", "created_at")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Members are added under "Memberships"."""
        return False


@admin.register(ResearchGroup)
class ResearchGroupAdmin(admin.ModelAdmin[ResearchGroup]):
    """Tenants, their quotas and policies."""

    list_display = ("name", "policy", "quota_bytes", "quota_gpu_s", "quota_jobs", "created_at")
    list_filter = ("policy",)
    search_fields = ("name", "id")
    readonly_fields = ("id", "created_at", "updated_at")
    inlines = [MembershipInline]

    def save_model(self, request: HttpRequest, obj: ResearchGroup, form: Any, change: bool) -> None:
        """Make a group through the service; quotas and policy are plain columns."""
        if change:
            super().save_model(request, obj, form, change)
            audit.record(
                actor=request.user, action="group.change", obj=obj, changed=form.changed_data
            )
            return
        made = group_create(
            name=obj.name,
            actor=request.user,  # type: ignore[arg-type]
            policy=obj.policy,
            quota_bytes=obj.quota_bytes,
            quota_gpu_s=obj.quota_gpu_s,
            quota_jobs=obj.quota_jobs,
        )
        obj.__dict__.update(made.__dict__)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse: a group with experiments cannot go, and an empty one does no harm."""
        return False


@admin.register(Membership)
class MembershipAdmin(admin.ModelAdmin[Membership]):
    """Who belongs to which group."""

    list_display = ("user", "group", "role", "created_at")
    list_filter = ("role", "group")
    search_fields = ("user__username", "group__name")
    list_select_related = ("user", "group")
    autocomplete_fields = ("user", "group")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Fix user and group of a membership; only its role changes."""
        return ("user", "group") if obj else ()

    def save_model(self, request: HttpRequest, obj: Membership, form: Any, change: bool) -> None:
        """Write through the service, which also writes Django's group."""
        made = membership_set(
            group=obj.group,
            user=obj.user,
            role=obj.role,
            actor=request.user,  # type: ignore[arg-type]
        )
        obj.id = made.id

    def delete_model(self, request: HttpRequest, obj: Membership) -> None:
        """Remove through the service."""
        membership_remove(
            group=obj.group,
            user=obj.user,
            actor=request.user,  # type: ignore[arg-type]
        )

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Membership]) -> None:
        """Remove through the service, one by one."""
        for membership in queryset.select_related("group", "user"):
            self.delete_model(request, membership)


@admin.register(ApiToken)
class ApiTokenAdmin(ReadOnlyAdmin):
    """Tokens: whose, what for, until when; deleting revokes."""

    list_display = ("name", "user", "scope", "created", "expiry")
    list_filter = ("scope",)
    search_fields = ("name", "user__username")
    list_select_related = ("user",)
    exclude = ("digest", "token_key")

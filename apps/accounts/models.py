"""Users, research groups (the tenants), memberships and API tokens."""

from __future__ import annotations

from typing import ClassVar
from uuid import uuid4

from django.conf import settings
from django.contrib.auth.models import AbstractUser, Group
from django.db import models
from knox.models import AbstractAuthToken

from apps.core.models import BaseModel

TEBIBYTE = 1024**4


class User(BaseModel, AbstractUser):  # type: ignore[django-manager-missing]
    """A person or a program with an account."""

    class Meta:
        ordering = ["username"]


class GroupPolicy(models.TextChoices):
    """Who of a group may see an experiment when it is made."""

    PRIVATE = "private", "only its maker"
    GROUP_READ = "group_read", "the group may look"
    GROUP_WRITE = "group_write", "the group may edit"


class Role(models.TextChoices):
    """What a member may do to the group itself."""

    MEMBER = "member"
    MANAGER = "manager"


class ResearchGroup(BaseModel):
    """A tenant: people, quotas, and how its new experiments are shared."""

    name = models.CharField(max_length=120, unique=True)
    group = models.OneToOneField(
        Group, on_delete=models.PROTECT, related_name="research_group", editable=False
    )
    quota_bytes = models.BigIntegerField(
        default=10 * TEBIBYTE, help_text="uploads and products together"
    )
    quota_gpu_s = models.BigIntegerField(default=30 * 24 * 3600, help_text="GPU seconds a month")
    quota_jobs = models.PositiveIntegerField(
        default=1000, help_text="jobs that run at the same time"
    )
    policy = models.CharField(
        max_length=12, choices=GroupPolicy.choices, default=GroupPolicy.PRIVATE
    )

    class Meta:
        ordering = ["name", "id"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(quota_bytes__gte=0, quota_gpu_s__gte=0),
                name="research_group_quotas_not_negative",
            )
        ]

    def __str__(self) -> str:
        return self.name


class Membership(BaseModel):
    """A user's place in a research group; mirrored into Django's group by the membership service."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="memberships"
    )
    group = models.ForeignKey(ResearchGroup, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=8, choices=Role.choices, default=Role.MEMBER)

    class Meta:
        ordering = ["created_at", "id"]
        constraints = [models.UniqueConstraint(fields=["user", "group"], name="membership_once")]

    def __str__(self) -> str:
        return f"{self.user} in {self.group} ({self.role})"


class TokenScope(models.TextChoices):
    """What requests with a token may do."""

    READ = "read"
    WRITE = "write"


class ApiToken(AbstractAuthToken):  # type: ignore[misc]
    """A hashed, named, expiring bearer token; its text is shown once."""

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    digest = models.CharField(max_length=128, unique=True)
    name = models.CharField(max_length=120)
    scope = models.CharField(max_length=5, choices=TokenScope.choices, default=TokenScope.WRITE)

    class Meta:
        ordering: ClassVar[list[str]] = ["created", "id"]

    def __str__(self) -> str:
        return f"{self.name} of {self.user}"

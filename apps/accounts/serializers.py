"""What goes in and out of the accounts' endpoints."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from apps.accounts.models import ApiToken, Membership, ResearchGroup, Role, TokenScope, User
from apps.accounts.selectors import memberships_of


class TokenRequestSerializer(serializers.Serializer[Any]):
    """Ask for a token."""

    username = serializers.CharField(max_length=150)
    password = serializers.CharField(max_length=1024, trim_whitespace=False, write_only=True)
    name = serializers.CharField(max_length=120)
    scope = serializers.ChoiceField(TokenScope.choices, default=TokenScope.WRITE)
    expires_days = serializers.IntegerField(min_value=1, max_value=366, default=30)


class TokenSerializer(serializers.ModelSerializer[Any]):
    """A token without its text."""

    created_at = serializers.DateTimeField(source="created", read_only=True)
    expires_at = serializers.DateTimeField(source="expiry", read_only=True, allow_null=True)

    class Meta:
        model = ApiToken
        fields: ClassVar[list[str]] = ["id", "name", "scope", "created_at", "expires_at"]


class NewTokenSerializer(TokenSerializer):
    """A token with its text, shown once."""

    token = serializers.SerializerMethodField()

    class Meta(TokenSerializer.Meta):
        fields: ClassVar[list[str]] = ["token", *TokenSerializer.Meta.fields]

    def get_token(self, _token: ApiToken) -> str:
        """Return the text that the service handed over."""
        return str(self.context["text"])


class GroupSerializer(serializers.ModelSerializer[ResearchGroup]):
    """A research group."""

    class Meta:
        model = ResearchGroup
        fields: ClassVar[list[str]] = [
            "id",
            "name",
            "policy",
            "quota_bytes",
            "quota_gpu_s",
            "quota_jobs",
        ]


class GroupRoleSerializer(serializers.Serializer[Any]):
    """One of a person's groups and their role in it."""

    id = serializers.UUIDField(source="group.id")
    name = serializers.CharField(source="group.name")
    role = serializers.ChoiceField(Role.choices)


class MeSerializer(serializers.ModelSerializer[User]):
    """Who is asking."""

    groups = serializers.SerializerMethodField()

    class Meta:
        model = User
        fields: ClassVar[list[str]] = ["id", "username", "email", "is_staff", "groups"]

    @extend_schema_field(GroupRoleSerializer(many=True))
    def get_groups(self, user: User) -> Any:
        """Return the user's groups and roles."""
        return GroupRoleSerializer(memberships_of(user=user), many=True).data


class MemberSerializer(serializers.Serializer[Membership]):
    """A member of a group."""

    id = serializers.UUIDField(source="user.id")
    username = serializers.CharField(source="user.username")
    role = serializers.ChoiceField(Role.choices)


class NewMemberSerializer(serializers.Serializer[Any]):
    """Make somebody a member: `member` is a user name or id."""

    member = serializers.CharField(max_length=150)
    role = serializers.ChoiceField(Role.choices, default=Role.MEMBER)

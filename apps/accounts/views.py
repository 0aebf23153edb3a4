"""Endpoints of the accounts; `routes` is what the API includes."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.urls import URLPattern, path
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts import selectors, serializers, services
from apps.core.api import Endpoint, lists


class TokenListView(Endpoint):
    """The tokens of a person's programs."""

    def get_permissions(self) -> list[Any]:
        """Let everybody ask for a token: the password is in the request."""
        return [AllowAny()] if self.request.method == "POST" else list(super().get_permissions())

    @lists(serializers.TokenSerializer)
    def get(self, request: Request) -> Response:
        """List your tokens."""
        tokens = selectors.tokens_list(user=self.user)
        return self.page(request, tokens, serializers.TokenSerializer)

    @extend_schema(
        request=serializers.TokenRequestSerializer,
        responses={201: serializers.NewTokenSerializer},
        auth=[],
    )
    def post(self, request: Request) -> Response:
        """Exchange user name and password for a token; its text is shown this once."""
        data = self.valid(serializers.TokenRequestSerializer)
        address = request.META.get("REMOTE_ADDR", "")
        token, text = services.token_create(**data, address=address)
        answer = serializers.NewTokenSerializer(token, context={"text": text})
        return Response(answer.data, status=status.HTTP_201_CREATED)


class TokenView(Endpoint):
    """One token."""

    @extend_schema(responses={204: None})
    def delete(self, request: Request, token_id: UUID) -> Response:
        """Revoke one of your tokens."""
        services.token_revoke(user=self.user, token_id=token_id)
        return Response(status=status.HTTP_204_NO_CONTENT)


class MeView(Endpoint):
    """Who is asking."""

    @extend_schema(responses=serializers.MeSerializer)
    def get(self, request: Request) -> Response:
        """Return your name and groups."""
        return Response(serializers.MeSerializer(self.user).data)


class GroupListView(Endpoint):
    """Research groups."""

    @lists(serializers.GroupSerializer)
    def get(self, request: Request) -> Response:
        """List your research groups."""
        return self.page(
            request, selectors.groups_list(user=self.user), serializers.GroupSerializer
        )


class MemberListView(Endpoint):
    """The members of a group."""

    @lists(serializers.MemberSerializer)
    def get(self, request: Request, group_id: UUID) -> Response:
        """List the members of one of your groups."""
        members = selectors.members_list(user=self.user, group_id=group_id)
        return self.page(request, members, serializers.MemberSerializer)

    @extend_schema(
        request=serializers.NewMemberSerializer, responses={201: serializers.MemberSerializer}
    )
    def post(self, request: Request, group_id: UUID) -> Response:
        """Make somebody a member, or change a member's role; for managers."""
        data = self.valid(serializers.NewMemberSerializer)
        member = services.member_add(user=self.user, group_id=group_id, **data)
        return Response(serializers.MemberSerializer(member).data, status=status.HTTP_201_CREATED)


class MemberView(Endpoint):
    """One member of a group."""

    @extend_schema(responses={204: None})
    def delete(self, request: Request, group_id: UUID, member_id: UUID) -> Response:
        """Take somebody out of the group; for managers."""
        services.member_remove(user=self.user, group_id=group_id, member_id=member_id)
        return Response(status=status.HTTP_204_NO_CONTENT)


routes: list[URLPattern] = [
    path("auth/tokens/", TokenListView.as_view(), name="token-list"),
    path("auth/tokens/<uuid:token_id>/", TokenView.as_view(), name="token"),
    path("me/", MeView.as_view(), name="me"),
    path("groups/", GroupListView.as_view(), name="group-list"),
    path("groups/<uuid:group_id>/members/", MemberListView.as_view(), name="member-list"),
    path("groups/<uuid:group_id>/members/<uuid:member_id>/", MemberView.as_view(), name="member"),
]

"""Bearer tokens: knox's look-up, with the token's scope enforced before any view runs."""

from __future__ import annotations

from typing import Any

from knox.auth import TokenAuthentication
from rest_framework.exceptions import AuthenticationFailed, PermissionDenied
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request


class BearerAuthentication(TokenAuthentication):  # type: ignore[misc]
    """Authenticate ``Authorization: Bearer …``; a token of scope "read" may only read."""

    def authenticate(self, request: Request) -> tuple[Any, Any] | None:
        """Return (user, token), or None without such a header."""
        found: tuple[Any, Any] | None = super().authenticate(request)
        if found and found[1].scope == "read" and request.method not in SAFE_METHODS:
            raise PermissionDenied("this token may only read")
        return found

    def authenticate_credentials(self, token: bytes) -> tuple[Any, Any]:
        """Return (user, token row); text that is no token at all is refused like a wrong one."""
        if not (token.isascii() and token.isalnum()):
            raise AuthenticationFailed("Invalid token.")
        found: tuple[Any, Any] = super().authenticate_credentials(token)
        return found


def bearer_user(token: str) -> tuple[Any, Any]:
    """Return (user, token row) for a token's text; raises `AuthenticationFailed`.

    For callers without a request: WebSockets and the tile application.
    """
    found: tuple[Any, Any] = BearerAuthentication().authenticate_credentials(
        token.encode(errors="replace")
    )
    return found

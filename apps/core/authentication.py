"""Who asks: passwords, with a limit on guesses, and bearer tokens, with their scope enforced.

Tokens are knox's look-up; a token's scope is enforced before any view runs.
"""

from __future__ import annotations

import hashlib
import logging
from typing import Any

import redis
from django.contrib.auth.backends import ModelBackend
from django.core.exceptions import PermissionDenied as LoginDenied
from django.http import HttpRequest
from knox.auth import TokenAuthentication
from rest_framework.exceptions import AuthenticationFailed, PermissionDenied
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request

from apps.core.valkey import client

logger = logging.getLogger(__name__)

GUESSES = 10
WINDOW_S = 300
"""How often a name may be tried from one address with wrong passwords, and in which time."""


def _guesses_key(name: str, address: str) -> str:
    digest = hashlib.sha256(f"{name.casefold()}\0{address}".encode(errors="replace"))
    return f"login:{digest.hexdigest()[:32]}"


def login_is_blocked(*, name: str, address: str) -> bool:
    """Tell whether too many wrong passwords for a name have come from an address of late."""
    try:
        found: Any = client().get(_guesses_key(name, address))
    except redis.RedisError:
        return False
    return int(found or 0) > GUESSES


def _guess(key: str) -> int:
    """Count a try before it is looked at, so that many at once are counted too."""
    try:
        pipeline = client().pipeline()
        pipeline.incr(key)
        pipeline.expire(key, WINDOW_S, nx=True)
        return int(pipeline.execute()[0])
    except redis.RedisError:
        logger.warning("tries to log in are not counted: Valkey does not answer")
        return 0


class PasswordBackend(ModelBackend):
    """Django's look-up of name and password, for a few wrong guesses only.

    The web passes its request; who has none passes the caller's `address`.
    """

    def authenticate(
        self,
        request: HttpRequest | None,
        username: str | None = None,
        password: str | None = None,
        address: str = "",
        **kwargs: Any,
    ) -> Any:
        """Return the user or None; raises Django's PermissionDenied when there were too many tries."""
        if username is None or password is None:
            return None
        key = _guesses_key(username, request.META.get("REMOTE_ADDR", "") if request else address)
        if _guess(key) > GUESSES:
            logger.warning("too many tries to log in as one user from one address")
            raise LoginDenied
        user = super().authenticate(request, username, password, **kwargs)
        if user is not None:
            try:
                client().delete(key)
            except redis.RedisError:
                logger.warning("tries to log in are not forgotten: Valkey does not answer")
        return user


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

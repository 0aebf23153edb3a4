"""Errors that services and selectors raise; `apps.core.problems` turns them into responses."""

from __future__ import annotations

from typing import Any


class ApplicationError(Exception):
    """Something the caller did that cannot be done.

    Parameters
    ----------
    message
        One sentence for the person who has to act on it; names the thing at fault.
    code
        Stable machine-readable code in ``snake_case``.
    extra
        Facts a program needs, as JSON.
    status
        HTTP status.
    """

    code = "invalid"
    status = 400

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        extra: dict[str, Any] | None = None,
        status: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or type(self).code
        self.extra = extra or {}
        self.status = status or type(self).status


class Invalid(ApplicationError):
    """The input is wrong."""


class PermissionDenied(ApplicationError):
    """The caller may see the thing but not do this to it."""

    code = "permission_denied"
    status = 403


class NotFound(ApplicationError):
    """There is no such thing, or the caller may not see it."""

    code = "not_found"
    status = 404


class Conflict(ApplicationError):
    """The thing is in a state that does not allow this."""

    code = "conflict"
    status = 409


class TooLarge(ApplicationError):
    """The request asks for more than is allowed or left."""

    code = "too_large"
    status = 413

"""One shape for all errors of the API: ``{"code", "message", "extra"}``."""

from __future__ import annotations

import logging
import sys
from typing import Any
from uuid import uuid4

from django.core.exceptions import PermissionDenied as DjangoPermissionDenied
from django.core.exceptions import RequestDataTooBig, SuspiciousOperation, ValidationError
from django.db import DatabaseError, InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.views import defaults
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import exception_handler as rest_exception_handler

from apps.core.errors import ApplicationError, Conflict, TooLarge
from gpu_workers.errors import UserError

logger = logging.getLogger(__name__)

CODES = {
    exceptions.ParseError: "malformed",
    exceptions.AuthenticationFailed: "authentication_failed",
    exceptions.NotAuthenticated: "not_authenticated",
    exceptions.PermissionDenied: "permission_denied",
    exceptions.NotFound: "not_found",
    exceptions.MethodNotAllowed: "method_not_allowed",
    exceptions.NotAcceptable: "not_acceptable",
    exceptions.UnsupportedMediaType: "unsupported_media_type",
    exceptions.Throttled: "throttled",
}


AT_THE_SAME_TIME = {"23503", "23505", "40001", "40P01"}
"""PostgreSQL's states for a broken reference or uniqueness, a lost serialisation and a deadlock."""

AWAY = ("08", "53", "57P")
"""How PostgreSQL's states begin while it is away, full or restarting."""


def _state(error: BaseException) -> str:
    return str(getattr(error.__cause__, "sqlstate", "") or "")


def _is_away(error: BaseException | None) -> bool:
    """Return whether the database could not be asked, which passes by itself."""
    if not isinstance(error, OperationalError | InterfaceError):
        return False
    state = _state(error)
    return not state or state.startswith(AWAY)


def _unavailable() -> dict[str, Any]:
    return problem("unavailable", "the database does not answer just now; try again in a moment")


def problem(code: str, message: str, extra: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the body of an error response."""
    return {"code": code, "message": message, "extra": extra or {}}


def _first(detail: Any, path: str = "") -> str:
    """Return the first fault of a serializer's errors as "field: what is wrong"."""
    if isinstance(detail, dict):
        key, value = next(iter(detail.items()))
        inner = path if key == "non_field_errors" else f"{path}.{key}".lstrip(".")
        return _first(value, inner)
    if isinstance(detail, list):
        wrong = next((each for each in detail if each), "invalid")
        return _first(wrong, path)
    return f"{path}: {detail}" if path else str(detail)


def _rest_problem(error: exceptions.APIException) -> dict[str, Any]:
    if isinstance(error, exceptions.ValidationError):
        fields = (
            error.detail if isinstance(error.detail, dict) else {"non_field_errors": error.detail}
        )
        return problem("invalid", _first(error.detail), {"fields": fields})
    code = CODES.get(type(error), error.default_code)
    return problem(str(code), _first(error.detail))


def _translated(error: Exception) -> Exception:
    """Return the API's own error for one of Django's or of the workers'."""
    made = error
    if isinstance(error, Http404):
        made = exceptions.NotFound()
    elif isinstance(error, DjangoPermissionDenied):
        made = exceptions.PermissionDenied()
    elif isinstance(error, ValidationError):
        made = exceptions.ValidationError(error.messages)
    elif isinstance(error, UserError):
        made = ApplicationError(error.message, code=error.code, extra={"files": list(error.files)})
    elif isinstance(error, DatabaseError) and _state(error) in AT_THE_SAME_TIME:
        made = Conflict("somebody changed this at the same moment; try again", code="raced")
    elif isinstance(error, RequestDataTooBig):
        made = TooLarge("the body is too large")
    return made


def exception_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """Turn an error raised in a view into a response; None (a 500) for what nobody expected."""
    error = _translated(error)
    if isinstance(error, ApplicationError):
        return Response(problem(error.code, error.message, error.extra), status=error.status)
    if _is_away(error):
        logger.error("the database does not answer: %s", error)
        return Response(_unavailable(), status=503, headers={"Retry-After": "2"})
    response = rest_exception_handler(error, context)
    if response is not None and isinstance(error, exceptions.APIException):
        response.data = _rest_problem(error)
    return response


def _is_api(request: HttpRequest) -> bool:
    return request.path.startswith("/api/")


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer what Django itself refuses as malformed."""
    if not _is_api(request):
        return defaults.bad_request(request, exception)
    if isinstance(exception, RequestDataTooBig):
        return JsonResponse(problem("too_large", "the body is too large"), status=413)
    said = "the request is malformed"
    if not isinstance(exception, SuspiciousOperation):
        logger.warning("malformed request to %s: %s", request.path, exception)
    return JsonResponse(problem("malformed", said), status=400)


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer paths that no route has."""
    if not _is_api(request):
        return defaults.page_not_found(request, exception)
    return JsonResponse(problem("not_found", "there is nothing at this address"), status=404)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer what Django itself forbids."""
    if not _is_api(request):
        return defaults.permission_denied(request, exception)
    return JsonResponse(problem("permission_denied", "you may not do this"), status=403)


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer when our own code failed; Django has logged the error with its trace."""
    if not _is_api(request):
        return defaults.server_error(request)
    if _is_away(sys.exc_info()[1]):
        return JsonResponse(_unavailable(), status=503, headers={"Retry-After": "2"})
    number = uuid4().hex[:12]
    logger.error("internal error %s at %s %s", number, request.method, request.path)
    return JsonResponse(problem("internal_error", f"internal error {number}"), status=500)

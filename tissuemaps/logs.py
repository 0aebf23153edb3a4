"""Structured logs: every line says for which request, user, experiment and job. Entry point: `configure`.

Fields come from the context, not from the caller: `RequestContext` (Django middleware) sets those of
a request, `bound` those of anything else.
"""

from __future__ import annotations

import json
import logging
import logging.config
import os
import re
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any
from uuid import uuid4

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

FIELDS = ("request", "user", "experiment", "job")
_values: ContextVar[dict[str, str] | None] = ContextVar("log_fields", default=None)
_EXPERIMENT = re.compile(r"/(?:experiments|tiles|zarr)/([0-9a-f-]{36})(?:/|$)")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


@contextmanager
def bound(**fields: str) -> Iterator[None]:
    """Add fields to every log line written inside the context."""
    token = _values.set({**(_values.get() or {}), **fields})
    try:
        yield
    finally:
        _values.reset(token)


class ContextFilter(logging.Filter):
    """Copies the context's fields onto each record."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass, with its context."""
        record.context = dict(_values.get() or {})
        return True


def _context(record: logging.LogRecord) -> dict[str, str]:
    context: dict[str, str] = getattr(record, "context", {})
    return context


class LineFormatter(logging.Formatter):
    """One readable line: time, level, logger, message, then ``name=value`` of the context."""

    converter = staticmethod(time.gmtime)
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  the base class names it
        """Append the context; a newline in a message cannot fake a second line."""
        text = super().formatMessage(record).replace("\r", "\\r").replace("\n", "\\n")
        return text + "".join(f" {k}={v}" for k, v in _context(record).items())


class JsonFormatter(logging.Formatter):
    """One JSON object a line, for log collectors."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line of JSON."""
        entry: dict[str, Any] = {
            "time": record.created,
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **_context(record),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, default=str)


def settings() -> dict[str, Any]:
    """Return the `logging.config.dictConfig` of web, control and workers."""
    style = JsonFormatter if os.environ.get("TISSUEMAPS_LOG_FORMAT") == "json" else LineFormatter
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"context": {"()": ContextFilter}},
        "formatters": {"default": {"()": style}},
        "handlers": {
            "console": {
                "class": "logging.StreamHandler",
                "formatter": "default",
                "filters": ["context"],
            }
        },
        "root": {"handlers": ["console"], "level": os.environ.get("TISSUEMAPS_LOG_LEVEL", "INFO")},
        # asyncio and the TIFF reader tell of every oddity they already dealt with.
        "loggers": {"asyncio": {"level": "WARNING"}, "tifffile": {"level": logging.CRITICAL + 1}},
    }


def configure() -> None:
    """Set logging up in a process that has no Django to do it."""
    logging.config.dictConfig(settings())


def _fields(request: HttpRequest) -> dict[str, str]:
    given = request.headers.get("X-Request-Id", "")
    fields = {"request": given if _REQUEST_ID.fullmatch(given) else uuid4().hex[:12]}
    experiment = _EXPERIMENT.search(request.path)
    if experiment:
        fields["experiment"] = experiment.group(1)
    return fields


class RequestContext:
    """Django middleware: binds request and experiment, adds the user, answers with ``X-Request-Id``."""

    sync_capable = True
    async_capable = False

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]):
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse | Awaitable[HttpResponse]:
        """Answer the request with its context bound."""
        fields = _fields(request)
        with bound(**fields):
            response = self.get_response(request)
        response["X-Request-Id"] = fields["request"]
        return response


class UserContext:
    """Django middleware: binds who asks; stands behind the authentication middleware."""

    sync_capable = True
    async_capable = False

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]):
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer the request with its user bound (of a session; a token's user is known later)."""
        # A session's user id costs no query; asking for `request.user` would.
        identifier = request.session.get("_auth_user_id") if hasattr(request, "session") else None
        if not identifier:
            return self.get_response(request)
        with bound(user=str(identifier)):
            return self.get_response(request)

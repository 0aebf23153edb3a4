"""Answers of the tile application, without a web framework: a start message and a body."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

Message = dict[str, Any]
Send = Callable[[Message], Awaitable[None]]
Header = tuple[bytes, bytes]

IMMUTABLE = b"private, max-age=31536000, immutable"
# A viewer on another site may read what a token opens. Cookies never count there: they are not sent
# across sites, and browsers refuse answers to requests with cookies that allow every origin.
ANY_ORIGIN: tuple[Header, ...] = (
    (b"access-control-allow-origin", b"*"),
    (b"access-control-expose-headers", b"content-length, content-range, accept-ranges, etag"),
)
PREFLIGHT: tuple[Header, ...] = (
    (b"access-control-allow-methods", b"GET, HEAD"),
    (b"access-control-allow-headers", b"authorization, range, if-none-match, if-range"),
    (b"access-control-max-age", b"86400"),
)
NOSNIFF: Header = (b"x-content-type-options", b"nosniff")


@dataclass(frozen=True, slots=True)
class Response:
    """A complete answer."""

    status: int
    body: bytes = b""
    headers: tuple[Header, ...] = ()

    async def send(self, send: Send, *, head: bool = False) -> None:
        """Send it; with `head` only what it would have said."""
        length = (b"content-length", str(len(self.body)).encode())
        headers = [*self.headers, NOSNIFF]
        if self.status not in (204, 304):
            headers.append(length)
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if head else self.body})


class Refusal(Exception):
    """Why nothing is served; becomes ``{"code", "message", "extra"}``."""

    def __init__(
        self, status: int, code: str, message: str, headers: tuple[Header, ...] = ()
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers

    def response(self) -> Response:
        """Return the answer that says so; never cached, because access may be granted later."""
        body = json.dumps({"code": self.code, "message": self.message, "extra": {}}).encode()
        headers = ((b"content-type", b"application/json"), (b"cache-control", b"no-store"))
        return Response(self.status, body, (*headers, *self.headers))


def to_any_origin(send: Send) -> Send:
    """Return a `send` that lets scripts of other sites read the answer."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], *ANY_ORIGIN]}
        await send(message)

    return sending


def not_found(message: str = "there is nothing at this address") -> Refusal:
    """Return the refusal for what is absent and for what may not be seen: they look the same."""
    return Refusal(404, "not_found", message)


def not_authenticated(code: str, message: str) -> Refusal:
    """Return the refusal that says: sign in, or renew the tile session."""
    return Refusal(401, code, message, ((b"www-authenticate", b"Bearer"),))


def is_fresh(headers: dict[bytes, bytes], etag: bytes) -> bool:
    """Tell whether the client has this version already (If-None-Match)."""
    known = headers.get(b"if-none-match")
    if known is None:
        return False
    tags = {each.strip().removeprefix(b"W/") for each in known.split(b",")}
    return etag in tags or b"*" in tags


def not_modified(etag: bytes, cache_control: bytes) -> Response:
    """Return the answer for a client that has this version already."""
    return Response(304, headers=((b"etag", etag), (b"cache-control", cache_control)))

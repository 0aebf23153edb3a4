"""Requests to an ASGI application, without a server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from apps.tiles.application import TileApplication


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


async def django(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Stand where Django stands, so that a test sees what is handed on."""
    await send({"type": "http.response.start", "status": 299, "headers": []})
    await send({"type": "http.response.body", "body": scope["path"].encode()})


def application() -> TileApplication:
    return TileApplication(django)


async def ask(app: Any, address: str, method: str = "GET", **headers: str) -> Answer:
    """Send a request; header names are given with underscores."""
    path, _, query = address.partition("?")
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": query.encode(),
        "headers": [(k.replace("_", "-").encode(), v.encode()) for k, v in headers.items()],
    }
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b""}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    start, *parts = sent
    assert start["type"] == "http.response.start"
    assert all(part.get("more_body", False) for part in parts[:-1])
    return Answer(
        start["status"],
        {k.decode(): v.decode() for k, v in start["headers"]},
        b"".join(part.get("body", b"") for part in parts),
    )

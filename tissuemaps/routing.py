"""Who answers what: /tiles and /zarr the raw tile application, /ws the consumers, the rest Django."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from django.conf import settings


def _header(scope: dict[str, Any], name: bytes) -> str:
    return next((v.decode("latin-1") for k, v in scope["headers"] if k == name), "")


def same_origin(scope: dict[str, Any]) -> bool:
    """Return whether a socket comes from a page of ours, or from no page at all.

    Browsers send a user's cookies with a socket that any page opens, but always name that page's
    origin; programs name none and bring a token.
    """
    origin = _header(scope, b"origin")
    if not origin:
        return True
    return (
        urlsplit(origin).netloc == _header(scope, b"host")
        or origin in settings.CSRF_TRUSTED_ORIGINS
    )


class OriginGuard:
    """ASGI middleware: refuses sockets that another site's page opens."""

    def __init__(self, application: Any):
        self.application = application

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Pass the socket on, or close it before it opens (the client sees 403)."""
        if same_origin(scope):
            await self.application(scope, receive, send)
        else:
            await receive()
            await send({"type": "websocket.close", "code": 4403})


def build(django_application: Any) -> Any:
    """Return the ASGI application around Django's."""
    routes = []
    if find_spec("apps.workflows.consumers"):
        routes = import_module("apps.workflows.consumers").routes
    http = django_application
    if find_spec("apps.tiles.application"):
        http = import_module("apps.tiles.application").TileApplication(django_application)
    sockets = OriginGuard(AuthMiddlewareStack(URLRouter(routes)))
    return ProtocolTypeRouter({"http": http, "websocket": sockets})

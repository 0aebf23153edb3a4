"""Who answers what: /tiles and /zarr the raw tile application, /ws the consumers, the rest Django."""

from importlib import import_module
from importlib.util import find_spec
from typing import Any

from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter


def build(django_application: Any) -> Any:
    """Return the ASGI application around Django's."""
    routes = (
        import_module("apps.workflows.consumers").routes
        if find_spec("apps.workflows.consumers")
        else []
    )
    http = django_application
    if find_spec("apps.tiles.application"):
        http = import_module("apps.tiles.application").TileApplication(django_application)
    return ProtocolTypeRouter({"http": http, "websocket": AuthMiddlewareStack(URLRouter(routes))})

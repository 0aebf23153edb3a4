"""The tile application: raw ASGI in front of Django for /tiles/ and /zarr/."""

from apps.tiles.application.routes import TileApplication

__all__ = ["TileApplication"]

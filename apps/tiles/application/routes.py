"""Who answers a request: `TileApplication` below /tiles/ and /zarr/, Django for everything else.

It stands in front of Django because a tile costs Django's middleware and views ten times what it
costs to serve: each request is checked (`gate`), its image looked up, and answered.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

from apps.tiles.application import files, tiles
from apps.tiles.application.gate import Gate
from apps.tiles.application.responses import (
    PREFLIGHT,
    Message,
    Refusal,
    Response,
    Send,
    not_found,
    to_any_origin,
)
from apps.tiles.application.waiting import Fresh, from_database
from apps.tiles.selectors.access import Permit
from apps.tiles.selectors.images import ServedImage, image_find

logger = logging.getLogger(__name__)

ID = r"([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})"
TILES = re.compile(rf"/tiles/{ID}/{ID}/([0-9a-f]{{1,40}})(/[^/].*)")
ZARR = re.compile(rf"/zarr/{ID}/{ID}\.zarr(/.*)")
# A row that is deleted, or no longer current, is noticed as soon as a change of access.
FRESH_S = 0.9

Application = Callable[[dict[str, Any], Callable[[], Awaitable[Message]], Send], Awaitable[None]]


async def _ask_image(key: tuple[str, str]) -> ServedImage | None:
    experiment, image = map(UUID, key)
    return await from_database(image_find, experiment_id=experiment, image_id=image)


class TileApplication:
    """ASGI application that serves pixels itself and hands everything else on."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._gate = Gate()
        self._images: Fresh[tuple[str, str], ServedImage | None] = Fresh(_ask_image, FRESH_S)

    async def __call__(
        self, scope: dict[str, Any], receive: Callable[[], Awaitable[Message]], send: Send
    ) -> None:
        """Answer one request."""
        path = scope["path"]
        if not path.startswith(("/tiles/", "/zarr/")):
            await self._application(scope, receive, send)
            return
        head = scope["method"] == "HEAD"
        headers = dict(scope["headers"])
        if path.startswith("/zarr/"):
            send = to_any_origin(send)
            if scope["method"] == "OPTIONS":
                await Response(204, headers=PREFLIGHT).send(send)
                return
        try:
            if scope["method"] not in ("GET", "HEAD"):
                allow = ((b"allow", b"GET, HEAD"),)
                raise Refusal(405, "method_not_allowed", "only GET and HEAD", allow)
            await self._serve(path, scope["query_string"], headers, send, head=head)
        except Refusal as refusal:
            await refusal.response().send(send, head=head)
        except ConnectionError:
            raise
        except Exception:
            logger.exception("could not serve %s", path)
            failure = Refusal(500, "internal_error", "internal error")
            await failure.response().send(send, head=head)

    async def _serve(
        self, path: str, query: bytes, headers: dict[bytes, bytes], send: Send, *, head: bool
    ) -> None:
        found = TILES.fullmatch(path)
        if found is not None:
            experiment, identifier, key, rest = found.groups()
            permit = await self._gate.admit(headers, experiment)
            image = await self._image(permit, experiment, identifier)
            if image.key != key:
                raise not_found()
            response = await tiles.answer(image, rest, query, headers)
            await response.send(send, head=head)
            return
        found = ZARR.fullmatch(path)
        if found is None:
            raise not_found()
        experiment, identifier, rest = found.groups()
        permit = await self._gate.admit(headers, experiment)
        image = await self._image(permit, experiment, identifier)
        await files.serve(image, rest, headers, send, head=head)

    async def _image(self, permit: Permit, experiment: str, identifier: str) -> ServedImage:
        key = (experiment, identifier)
        known = self._images.peek(key)
        image = await self._images.get(key) if known is None else known[0]
        if image is None or not permit.admits(image.plate, image.object_type):
            raise not_found()
        return image

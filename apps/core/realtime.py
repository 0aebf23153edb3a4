"""Sends messages to those who watch an experiment; the only user of the channel layer."""

from __future__ import annotations

import logging
from typing import Any
from uuid import UUID

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer

logger = logging.getLogger(__name__)


def group_name(scope: UUID | str) -> str:
    """Name of the channel group of an experiment's watchers."""
    return f"experiment.{scope}"


def publish(scope: UUID | str, message: dict[str, Any]) -> None:
    """Send a message to all watchers of a scope.

    Never raises: who misses a numbered message sees the gap and asks for the events again.
    """
    layer = get_channel_layer()
    if layer is None:
        return
    envelope = {"type": "experiment.message", "message": message}
    try:
        async_to_sync(layer.group_send)(group_name(scope), envelope)
    except Exception:
        logger.warning("a live message of %s was not sent", scope, exc_info=True)

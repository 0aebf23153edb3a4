"""The web side's own connection to Valkey, and the mirror of the access epochs in it."""

from __future__ import annotations

import logging
from functools import cache
from uuid import UUID

import redis
from django.conf import settings

logger = logging.getLogger(__name__)

EPOCHS_CHANNEL = "tm:epochs"


@cache
def client() -> redis.Redis:
    """Return this process's connection pool to Valkey."""
    return redis.Redis.from_url(settings.REDIS_URL)


def epoch_key(experiment_id: UUID | str) -> str:
    """Return the key that mirrors an experiment's access epoch."""
    return f"epoch:{experiment_id}"


def epoch_publish(*, experiment_id: UUID | str, epoch: int) -> None:
    """Mirror an access epoch and tell listeners ``<experiment>:<epoch>``.

    PostgreSQL stays the authority and is re-read by every server, so a Valkey that is away only
    delays a revocation and does not fail the request that made it.
    """
    try:
        pipeline = client().pipeline()
        pipeline.set(epoch_key(experiment_id), epoch)
        pipeline.publish(EPOCHS_CHANNEL, f"{experiment_id}:{epoch}")
        pipeline.execute()
    except redis.RedisError:
        logger.warning("could not mirror the access epoch of %s", experiment_id, exc_info=True)

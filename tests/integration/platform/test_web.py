"""The web server around the apps: health, pages, sockets of other sites, idle sockets."""

from __future__ import annotations

import asyncio

import pytest
from channels.testing import WebsocketCommunicator
from channels_redis.core import RedisChannelLayer
from django.conf import settings
from django.test import Client

from tests.factories import UserFactory
from tissuemaps.routing import OriginGuard, same_origin


def test_health_needs_no_login() -> None:
    answer = Client().get("/health")

    assert answer.status_code == 200
    assert answer.json() == {"status": "ok"}
    assert answer["X-Request-Id"]


def test_a_request_id_that_could_forge_a_log_line_is_replaced() -> None:
    kept = Client().get("/health", headers={"X-Request-Id": "abc-1"})
    forged = Client().get("/health", headers={"X-Request-Id": "abc user=admin"})

    assert kept["X-Request-Id"] == "abc-1"
    assert "user" not in forged["X-Request-Id"]


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/", "/experiments/1/view"])
def test_pages_ask_for_a_login(path: str) -> None:
    answer = Client().get(path)

    assert answer.status_code == 302
    assert answer["Location"] == f"/login/?next={path}"


@pytest.mark.django_db
def test_the_login_page_opens() -> None:
    answer = Client().get("/login/")

    assert answer.status_code == 200
    assert b'name="password"' in answer.content


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        (None, True),
        (b"http://maps.example", True),
        (b"http://evil.example", False),
        (b"null", False),
    ],
)
def test_same_origin(origin: bytes | None, expected: bool) -> None:
    headers = [(b"host", b"maps.example"), *([(b"origin", origin)] if origin else [])]

    assert same_origin({"headers": headers}) is expected


async def test_a_socket_of_another_site_is_refused() -> None:
    async def opened(_scope: object, _receive: object, send: object) -> None:
        await send({"type": "websocket.accept"})  # type: ignore[operator]

    headers = [(b"host", b"maps.example"), (b"origin", b"http://evil.example")]
    communicator = WebsocketCommunicator(OriginGuard(opened), "/ws/", headers=headers)

    connected, _ = await communicator.connect()

    assert not connected


async def test_an_idle_socket_stays_open() -> None:
    """redis-py from version 8 gives up after 5 s of silence, which closed every idle socket."""
    layer = RedisChannelLayer(**settings.CHANNEL_LAYERS["default"]["CONFIG"])
    channel = await layer.new_channel()
    waiting = asyncio.ensure_future(layer.receive(channel))

    done, _ = await asyncio.wait([waiting], timeout=10)
    assert not done
    await layer.send(channel, {"type": "late"})

    assert await asyncio.wait_for(waiting, 5) == {"type": "late"}
    await layer.flush()


@pytest.mark.django_db
def test_the_application_is_not_framed_and_sends_no_form_elsewhere() -> None:
    client = Client()
    client.force_login(UserFactory())

    answer = client.get("/")

    policy = answer["Content-Security-Policy"]
    assert "form-action 'self'" in policy
    assert "frame-ancestors 'none'" in policy

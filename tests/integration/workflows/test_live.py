"""The WebSocket: who gets in, what it replays, what it tells, when it closes."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import pytest
from channels.auth import AuthMiddlewareStack, UserLazyObject
from channels.db import database_sync_to_async
from channels.layers import channel_layers
from channels.routing import URLRouter
from channels.testing import WebsocketCommunicator
from django.test import Client

from apps.accounts.models import User
from apps.accounts.services import token_create
from apps.core import realtime
from apps.experiments.models import Experiment
from apps.experiments.services import access_grant, access_revoke
from apps.jobs.models import Job, SpecTemplate
from apps.jobs.services import event_publish
from apps.workflows import consumers
from apps.workflows.consumers import routes
from apps.workflows.selectors import event_list
from gpu_workers.storage import paths
from tests.factories import PASSWORD, PlateFactory, UserFactory
from tests.integration.jobs.engine import root_of

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _layer() -> Any:
    channel_layers.backends.clear()
    yield
    channel_layers.backends.clear()


def socket(
    experiment: Experiment, user: User | None = None, query: str = "", **headers: str
) -> WebsocketCommunicator:
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    path = f"/ws/v1/experiments/{experiment.id}/{query}"
    communicator = WebsocketCommunicator(URLRouter(routes), path, headers=raw)
    # As the session middleware of channels gives it: resolved, but behind a lazy object.
    communicator.scope["user"] = lazy = UserLazyObject() if user else None
    if lazy is not None:
        lazy._wrapped = user
    return communicator


BROWSER = {"host": "testserver", "origin": "http://testserver"}


def publish(experiment: Experiment, number: int = 1) -> None:
    for i in range(number):
        event_publish(scope=experiment.id, kind="test", payload={"i": i})


async def test_browser_gets_what_it_missed_and_then_what_happens(
    experiment: Experiment, owner: User
) -> None:
    await database_sync_to_async(publish)(experiment, 3)
    client = socket(experiment, owner, "?after=1", **BROWSER)

    connected, _ = await client.connect()
    missed = await client.receive_json_from()
    await database_sync_to_async(publish)(experiment)
    live = await client.receive_json_from()

    assert connected
    assert (missed["from"], missed["to"]) == (2, 3)
    assert [event["payload"]["i"] for event in missed["events"]] == [1, 2]
    assert (live["from"], live["to"], live["events"][0]["sequence"]) == (4, 4, 4)
    await client.disconnect()


async def test_a_page_of_another_site_may_not_use_the_cookie(
    experiment: Experiment, owner: User
) -> None:
    client = socket(experiment, owner, host="testserver", origin="http://evil.example")

    await client.connect()
    await client.send_json_to({"type": "log.follow", "job": str(uuid4())})
    answer = await client.receive_output()

    assert answer == {"type": "websocket.close", "code": 4401}


@pytest.mark.parametrize("how", ["header", "message"])
async def test_programs_come_with_a_token(experiment: Experiment, owner: User, how: str) -> None:
    _, text = await database_sync_to_async(token_create)(
        username=owner.username, password=PASSWORD, name="test"
    )
    headers = {"authorization": f"Bearer {text}"} if how == "header" else {}
    client = socket(experiment, None, **headers)

    await client.connect()
    if how == "message":
        await client.send_json_to({"type": "token", "token": text})
    first = await client.receive_json_from()

    assert first == {"type": "events", "from": 1, "to": 0, "events": []}
    await client.disconnect()


async def test_wrong_tokens_and_strangers_are_refused(experiment: Experiment) -> None:
    stranger = await database_sync_to_async(UserFactory)()
    for client, message in (
        (socket(experiment, stranger, **BROWSER), None),
        (socket(experiment), {"type": "token", "token": "wrong"}),
    ):
        await client.connect()
        if message:
            await client.send_json_to(message)
        assert await client.receive_json_from() == {"type": "closed", "code": "not_allowed"}
        assert (await client.receive_output())["code"] == 4401


async def test_revoked_access_closes_the_socket_at_once(
    experiment: Experiment, owner: User
) -> None:
    friend = await database_sync_to_async(UserFactory)()
    grant = database_sync_to_async(access_grant)
    await grant(user=owner, experiment_id=experiment.id, subject_user=friend.username, level="view")
    client = socket(experiment, friend, **BROWSER)
    await client.connect()
    await client.receive_json_from()

    revoke = database_sync_to_async(access_revoke)
    await revoke(user=owner, experiment_id=experiment.id, subject_id=friend.id)

    closed = await client.receive_json_from(timeout=2)
    assert closed == {"type": "closed", "code": "access_revoked"}
    assert (await client.receive_output())["code"] == 4403
    await client.disconnect()


async def test_log_is_tailed_to_its_end(experiment: Experiment, owner: User) -> None:
    job = await database_sync_to_async(_job)(experiment)
    log = root_of(experiment.id) / paths.attempt_folder(job.id, 1) / "log.txt"
    log.parent.mkdir(parents=True)
    log.write_text("one\n")
    client = socket(experiment, owner, **BROWSER)
    await client.connect()
    await client.receive_json_from()

    await client.send_json_to({"type": "log.follow", "job": str(job.id), "after": 0})
    first = await client.receive_json_from()
    with log.open("a") as stream:
        stream.write("zwölf\n")
    second = await client.receive_json_from(timeout=2)
    await database_sync_to_async(_end)(job)
    last = await client.receive_json_from(timeout=2)

    assert (first["after"], first["text"], first["complete"]) == (0, "one\n", False)
    assert (second["after"], second["text"]) == (4, "zwölf\n")
    assert last["complete"]
    await client.disconnect()


def _job(experiment: Experiment) -> Job:
    return Job.objects.create(
        scope=experiment.id,
        kind="run",
        name="count",
        queue="cpu",
        state="running",
        attempts_made=1,
        parent=uuid4(),
        template=SpecTemplate.objects.create(scope=experiment.id, body={}),
    )


def _end(job: Job) -> None:
    from django.utils import timezone

    Job.objects.filter(id=job.id).update(state="succeeded", ended_at=timezone.now())


async def test_progress_is_passed_on_without_a_number(experiment: Experiment, owner: User) -> None:
    client = socket(experiment, owner, **BROWSER)
    await client.connect()
    await client.receive_json_from()

    message = {"type": "progress", "step": "s", "fraction": 0.4, "message": "half way"}
    await database_sync_to_async(realtime.publish)(experiment.id, message)

    assert await client.receive_json_from() == message
    await client.disconnect()


async def test_an_idle_socket_stays_open(experiment: Experiment, owner: User) -> None:
    client = socket(experiment, owner, **BROWSER)
    await client.connect()
    await client.receive_json_from()

    assert await client.receive_nothing(timeout=10, interval=1)
    await database_sync_to_async(publish)(experiment)

    assert (await client.receive_json_from())["to"] == 1
    await client.disconnect()


async def test_a_deactivated_user_is_put_out(experiment: Experiment, owner: User) -> None:
    client = socket(experiment, owner, **BROWSER)
    await client.connect()
    await client.receive_json_from()

    await database_sync_to_async(_deactivate)(owner, experiment)

    closed = await client.receive_json_from(timeout=2)
    assert closed == {"type": "closed", "code": "access_revoked"}
    assert (await client.receive_output())["code"] == 4403
    await client.disconnect()


def _deactivate(user: User, experiment: Experiment) -> None:
    from django.db import transaction

    from apps.experiments.services import access_changed

    with transaction.atomic():
        User.objects.filter(id=user.id).update(is_active=False)
        access_changed([experiment.id])


async def test_who_sees_one_plate_hears_nothing_of_the_rest(
    experiment: Experiment, owner: User
) -> None:
    friend = await database_sync_to_async(UserFactory)()
    await database_sync_to_async(_share_a_plate)(experiment, owner, friend)
    await database_sync_to_async(publish)(experiment)
    client = socket(experiment, friend, "?after=0", **BROWSER)

    await client.connect()
    missed = await client.receive_json_from()
    progress = {"type": "progress", "step": "s", "fraction": 0.4, "message": "plate 2"}
    await database_sync_to_async(realtime.publish)(experiment.id, progress)
    tell = database_sync_to_async(event_publish)
    await tell(scope=experiment.id, kind="step.state", payload={"name": "corilla"})
    live = await client.receive_json_from()
    await tell(scope=experiment.id, kind="mosaic.ready", payload={})
    ready = await client.receive_json_from()

    assert (missed["events"], missed["to"]) == ([], 1)
    assert (live["type"], live["events"], live["to"]) == ("events", [], 2)
    assert [event["kind"] for event in ready["events"]] == ["mosaic.ready"]
    await client.disconnect()


def _share_a_plate(experiment: Experiment, owner: User, friend: User) -> None:
    plate = PlateFactory(experiment=experiment)
    access_grant(
        user=owner,
        experiment_id=experiment.id,
        subject_user=friend.username,
        level="view",
        plate=plate.id,
    )


def test_the_list_of_events_keeps_the_rest_from_who_sees_one_plate(
    experiment: Experiment, owner: User
) -> None:
    friend = UserFactory()
    _share_a_plate(experiment, owner, friend)
    publish(experiment)

    events, newest = event_list(user=friend, experiment_id=experiment.id, after=0)

    assert (events, newest) == ([], 1)
    assert len(event_list(user=owner, experiment_id=experiment.id, after=0)[0]) == 1


async def test_logging_out_ends_the_socket(
    experiment: Experiment, owner: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumers, "RECHECK_S", 0.2)
    browser = Client()
    await database_sync_to_async(browser.force_login)(owner)
    cookie = browser.cookies["sessionid"].value
    headers = [(k.encode(), v.encode()) for k, v in BROWSER.items()]
    client = WebsocketCommunicator(
        AuthMiddlewareStack(URLRouter(routes)),
        f"/ws/v1/experiments/{experiment.id}/",
        headers=[*headers, (b"cookie", f"sessionid={cookie}".encode())],
    )
    await client.connect()
    assert (await client.receive_json_from())["type"] == "events"

    await database_sync_to_async(browser.logout)()

    assert await client.receive_json_from(timeout=3) == {
        "type": "closed",
        "code": "access_revoked",
    }
    await client.disconnect()


@pytest.mark.parametrize(
    "message",
    [
        {"type": "token", "token": "\ud800"},
        {"type": "log.follow", "job": str(uuid4()), "after": float("inf")},
    ],
)
async def test_odd_messages_are_refused_not_stumbled_over(
    experiment: Experiment, owner: User, message: dict[str, Any]
) -> None:
    is_token = message["type"] == "token"
    client = socket(experiment, None if is_token else owner, **({} if is_token else BROWSER))
    await client.connect()
    if not is_token:
        await client.receive_json_from()

    await client.send_to(text_data=json.dumps(message))
    if is_token:
        assert (await client.receive_json_from())["code"] == "not_allowed"

    assert (await client.receive_output())["code"] == (4401 if is_token else 4400)
    await client.disconnect()

"""Chunks over HTTP: the stored bytes, to those who may see them, until they may not."""

from __future__ import annotations

import asyncio
import io
import time
from typing import Any

import numpy as np
import pytest
from asgiref.sync import sync_to_async
from django.db import connections

from apps.accounts.services import token_create
from apps.core import permissions
from apps.experiments.models import Experiment, Mosaic
from apps.experiments.services.access import access_grant, access_revoke
from apps.tiles import services
from apps.tiles.services import tile_session_create
from gpu_workers.storage.chunks import decode, describe_array
from tests.factories import PASSWORD, ExperimentFactory, PlateFactory
from tests.integration.tiles.asgi import ask
from tests.integration.tiles.served import SIZE, Served, serve

pytestmark = pytest.mark.django_db(transaction=True)


def cookie_of(user: Any, experiment: Experiment) -> str:
    session = tile_session_create(user=user, experiment_id=experiment.id)
    return f"sessionid=abc; {session.cookies[0][0]}={session.value}; other={{}}"


@sync_to_async
def in_database(function: Any, *args: Any, **kwargs: Any) -> Any:
    try:
        return function(*args, **kwargs)
    finally:
        connections.close_all()


async def until_refused(app: Any, address: str, **headers: str) -> None:
    for _ in range(100):
        if (await ask(app, address, **headers)).status != 200:
            return
        await asyncio.sleep(0.05)


async def test_a_chunk_is_the_stored_bytes(app: Any, served: Served, viewer: Any) -> None:
    cookie = await in_database(cookie_of, viewer, served.experiment)

    answer = await ask(app, served.chunk, cookie=cookie)

    level = served.root / served.mosaic.info["path"] / "0"
    assert answer.status == 200
    assert np.array_equal(decode(describe_array(level), answer.body), served.image[:512, 512:1024])
    assert answer.headers["cache-control"] == "private, max-age=31536000, immutable"
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-length"] == str(len(answer.body))
    again = await ask(app, served.chunk, cookie=cookie, if_none_match=answer.headers["etag"])
    assert (again.status, again.body) == (304, b"")
    head = await ask(app, served.chunk, "HEAD", cookie=cookie)
    assert (head.status, head.body, head.headers) == (200, b"", answer.headers)


async def test_the_platform_puts_it_in_front_of_django(served: Served, viewer: Any) -> None:
    from tissuemaps.asgi import application as platform

    cookie = await in_database(cookie_of, viewer, served.experiment)

    assert (await ask(platform, served.chunk, cookie=cookie)).status == 200
    assert (await ask(platform, f"{served.zarr}/zarr.json", cookie=cookie)).status == 200
    assert (await ask(platform, served.chunk)).status == 401


async def test_tokens_open_it_too(app: Any, served: Served, viewer: Any, stranger: Any) -> None:
    _, text = await in_database(
        token_create, username="viewer", password=PASSWORD, name="t", scope="read"
    )
    _, other = await in_database(
        token_create, username="stranger", password=PASSWORD, name="t", scope="write"
    )

    found = [
        (await ask(app, served.chunk, authorization=f"{word} {token}")).status
        for word, token in [("Bearer", text), ("bearer", text), ("Bearer", other), ("Bearer", "x"),
                            ("Bearer", "ä"), ("Bearer", "y" * 9000)]
    ]  # fmt: skip

    assert found == [200, 200, 404, 401, 401, 401]


async def test_strangers_learn_nothing(
    app: Any, served: Served, viewer: Any, stranger: Any
) -> None:
    def make() -> tuple[str, str]:
        other = ExperimentFactory(viewer=stranger)
        return cookie_of(stranger, other), str(other.id)

    cookie, other = await in_database(make)
    own = await in_database(cookie_of, viewer, served.experiment)
    name, value = own.split("; ")[1].split("=", 1)

    no_credentials = await ask(app, served.chunk)
    foreign = await ask(app, served.chunk, cookie=cookie)
    # The image of one experiment below the address of another is not there.
    moved = await ask(app, served.chunk.replace(str(served.experiment.id), other), cookie=cookie)
    forged = await ask(app, served.chunk, cookie=f"{name}={value[:-2]}AA")

    assert (no_credentials.status, foreign.status, forged.status) == (401, 401, 401)
    assert moved.status == 404
    assert moved.headers["cache-control"] == "no-store"
    assert no_credentials.headers["www-authenticate"] == "Bearer"


async def test_a_session_ends(app: Any, served: Served, viewer: Any, monkeypatch: Any) -> None:
    cookie = await in_database(cookie_of, viewer, served.experiment)
    monkeypatch.setattr(services, "LIFETIME_S", -1)
    ended = await in_database(cookie_of, viewer, served.experiment)

    assert (await ask(app, served.chunk, cookie=cookie)).status == 200
    assert (await ask(app, served.chunk, cookie=ended)).status == 401


@pytest.mark.parametrize("change", ["revoked", "deactivated", "deleted"])
async def test_revocation_takes_effect_within_about_a_second(
    app: Any, served: Served, viewer: Any, change: str
) -> None:
    cookie = await in_database(cookie_of, viewer, served.experiment)
    _, token = await in_database(
        token_create, username="viewer", password=PASSWORD, name="t", scope="read"
    )
    with_token = {"authorization": f"Bearer {token}"}
    assert (await ask(app, served.chunk, cookie=cookie)).status == 200
    assert (await ask(app, served.chunk, **with_token)).status == 200

    def act() -> None:
        if change == "revoked":
            owner = served.experiment.created_by
            access_revoke(user=owner, experiment_id=served.experiment.id, subject_id=viewer.id)
        elif change == "deactivated":
            type(viewer).objects.filter(id=viewer.id).update(is_active=False)
        else:
            Experiment.objects.filter(id=served.experiment.id).update(
                deleted_at="2026-01-01T00:00Z"
            )

    await in_database(act)
    started = time.monotonic()
    await until_refused(app, served.chunk, cookie=cookie)
    by_cookie = time.monotonic() - started
    await until_refused(app, served.chunk, **with_token)

    assert by_cookie < 1.5
    assert time.monotonic() - started < 2
    assert (await ask(app, served.chunk, cookie=cookie)).status == 401
    assert (await ask(app, served.chunk, **with_token)).status in (401, 404)


async def test_a_new_session_after_a_change_opens_it_again(
    app: Any, served: Served, viewer: Any
) -> None:
    cookie = await in_database(cookie_of, viewer, served.experiment)

    def act() -> str:
        owner = served.experiment.created_by
        access_grant(
            user=owner, experiment_id=served.experiment.id, subject_user="stranger2", level="view"
        )
        return cookie_of(viewer, served.experiment)

    from tests.factories import UserFactory

    await in_database(UserFactory, username="stranger2")
    fresh = await in_database(act)

    old = await ask(app, served.chunk, cookie=cookie)
    assert (old.status, b"session_expired" in old.body) == (401, True)
    assert (await ask(app, served.chunk, cookie=fresh)).status == 200


async def test_a_deleted_version_is_gone(app: Any, served: Served, viewer: Any) -> None:
    cookie = await in_database(cookie_of, viewer, served.experiment)
    assert (await ask(app, served.chunk, cookie=cookie)).status == 200

    await in_database(Mosaic.objects.filter(id=served.mosaic.id).delete)
    await asyncio.sleep(1)

    assert (await ask(app, served.chunk, cookie=cookie)).status == 404


@pytest.mark.parametrize("parts", ["plate", "type", "both"])
async def test_a_grant_on_a_part_reaches_that_part(
    app: Any, served: Served, stranger: Any, parts: str
) -> None:
    def make() -> tuple[str, str]:
        other = serve(served.experiment, PlateFactory(experiment=served.experiment))
        if parts in ("plate", "both"):
            permissions.grant(subject=stranger, level="view", obj=served.plate)
        if parts in ("type", "both"):
            permissions.grant(subject=stranger, level="view", obj=served.objects.object_type)
        return cookie_of(stranger, served.experiment), other.chunk

    cookie, elsewhere = await in_database(make)
    label = served.label("0/0/0/0/0/0")

    found = [
        (await ask(app, address, cookie=cookie)).status
        for address in (served.chunk, elsewhere, label)
    ]

    assert (
        found == {"plate": [200, 404, 404], "type": [404, 404, 404], "both": [200, 404, 200]}[parts]
    )


async def test_more_parts_than_a_cookie_holds(
    app: Any, served: Served, stranger: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr(services, "MAX_LISTED", 0)

    def make() -> str:
        permissions.grant(subject=stranger, level="view", obj=served.plate)
        return cookie_of(stranger, served.experiment)

    cookie = await in_database(make)

    assert (await ask(app, served.chunk, cookie=cookie)).status == 200
    assert (await ask(app, served.label("0/0/0/0/0/0"), cookie=cookie)).status == 404


async def test_absent_chunks_and_wrong_addresses(app: Any, served: Served, viewer: Any) -> None:
    cookie = await in_database(cookie_of, viewer, served.experiment)
    base = served.chunk.rsplit("/", 6)[0]

    absent = await ask(app, f"{base}/0/0/0/0/0/3", cookie=cookie)

    assert (absent.status, absent.headers["cache-control"]) == (404, "private, max-age=3600")
    for rest in ("0/0/0/0/9/9", "9/0/0/0/0/0", "0/1/0/0/0/0", "0/0/2/0/0/0", "0/0/0/0/0", "0/0/0/0/0/0/0", "",
                 "0/0/0/0/0/-1", "0/0/0/0/0/x", "../0/0/0/0/0", "0/0/0.mvt", "0/0/0/0/0/99999999"):  # fmt: skip
        assert (await ask(app, f"{base}/{rest}", cookie=cookie)).status == 404, rest
    wrong_key = served.chunk.replace(served.mosaic.key, "abc")
    assert (await ask(app, wrong_key, cookie=cookie)).status == 404
    assert (await ask(app, served.chunk, "POST", cookie=cookie)).status == 405
    assert (await ask(app, "/api/v1/me/")).status == 299


async def test_a_damaged_shard_is_an_error_and_nothing_wrong_is_served(
    app: Any, served: Served, viewer: Any
) -> None:
    cookie = await in_database(cookie_of, viewer, served.experiment)
    shard = served.root / served.mosaic.info["path"] / "0/c/0/0/0/0/0"
    shard.write_bytes(shard.read_bytes()[:-9] + b"123456789")

    answer = await ask(app, served.chunk, cookie=cookie)

    assert (answer.status, b"internal_error" in answer.body) == (500, True)


async def test_grey_jpeg_of_a_window(app: Any, served: Served, viewer: Any) -> None:
    import cv2

    cookie = await in_database(cookie_of, viewer, served.experiment)

    answer = await ask(app, f"{served.chunk}?format=jpeg&low=500&high=3500", cookie=cookie)

    assert (answer.status, answer.headers["content-type"]) == (200, "image/jpeg")
    grey = cv2.imdecode(np.frombuffer(answer.body, np.uint8), cv2.IMREAD_UNCHANGED)
    expected = np.clip((served.image[:512, 512:1024].astype(float) - 500) / 3000, 0, 1) * 255
    assert grey.shape == (512, 512)
    # Noise is the worst case for JPEG: only the average says that the window was right.
    assert abs(grey.mean() - expected.mean()) < 1
    assert np.abs(cv2.blur(grey, (16, 16)) - cv2.blur(expected, (16, 16))).mean() < 3
    own = await ask(app, f"{served.chunk}?format=jpeg", cookie=cookie)
    assert own.status == 200
    assert own.headers["etag"] != answer.headers["etag"]


@pytest.mark.parametrize("query", ["format=png", "format=jpeg&low=5&high=5", "format=jpeg&low=nan", "low=3",
                                   "format=jpeg&high=x"])  # fmt: skip
async def test_impossible_windows(app: Any, served: Served, viewer: Any, query: str) -> None:
    cookie = await in_database(cookie_of, viewer, served.experiment)

    answer = await ask(app, f"{served.chunk}?{query}", cookie=cookie)

    assert (answer.status, b'"code": "invalid"' in answer.body) == (400, True)


async def test_labels_and_outlines(app: Any, served: Served, viewer: Any) -> None:
    cookie = await in_database(cookie_of, viewer, served.experiment)

    labels = await ask(app, served.label("1/0/0/0/0/0"), cookie=cookie)
    vectors = await ask(app, served.label("0/0/0.mvt"), cookie=cookie)
    empty = await ask(app, served.label("0/0/3.mvt"), cookie=cookie)
    later = await ask(app, served.label("0/0/0.mvt?t=1&z=0"), cookie=cookie)

    array = describe_array(served.root / served.objects.info["path"] / "mosaic.zarr" / "1")
    expected = np.zeros((512, 512), np.uint32)
    expected[: SIZE // 2, 10 : 10 + SIZE // 2] = 2
    found = decode(array, labels.body)
    assert found[0, 0] == 1
    assert np.array_equal(found == 2, expected == 2)
    assert (vectors.status, vectors.headers["content-type"]) == (
        200,
        "application/vnd.mapbox-vector-tile",
    )
    assert b"Nuclei" in vectors.body
    assert len(vectors.body) > 20 * 625
    assert (empty.status, later.status) == (200, 200)
    assert len(empty.body) < 40
    assert len(later.body) < 40


async def test_too_many_outlines_say_so(app: Any, served: Served, viewer: Any) -> None:
    def make() -> tuple[str, Served]:
        other = serve(served.experiment, PlateFactory(experiment=served.experiment), per_row=90)
        return cookie_of(viewer, served.experiment), other

    cookie, other = await in_database(make)

    answer = await ask(app, other.label("2/0/0.mvt"), cookie=cookie)

    assert (answer.status, b"too_many_objects" in answer.body) == (413, True)
    assert (await ask(app, other.label("0/0/0.mvt"), cookie=cookie)).status == 200


def test_a_jpeg_can_be_read_by_others() -> None:
    from PIL import Image

    from apps.tiles.selectors.rendering import Window, grey_jpeg

    ramp = np.linspace(0, 65535, 512).astype(np.uint16)[None].repeat(512, 0)

    picture = Image.open(io.BytesIO(grey_jpeg(ramp, Window(0, 65535))))

    assert (picture.mode, picture.size) == ("L", (512, 512))
    assert np.abs(np.asarray(picture).astype(float) - ramp / 257).max() <= 2

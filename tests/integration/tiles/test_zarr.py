"""Zarr over HTTP: what a reader asks for, in whole and in ranges, and nothing else."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from typing import Any

import numpy as np
import pytest
import zarr
from zarr.abc.store import (
    ByteRequest,
    OffsetByteRequest,
    RangeByteRequest,
    Store,
    SuffixByteRequest,
)
from zarr.core.buffer import Buffer, BufferPrototype

from apps.accounts.services import token_create
from apps.experiments.models import Mosaic
from tests.factories import PASSWORD
from tests.integration.tiles.asgi import ask
from tests.integration.tiles.served import Served
from tests.integration.tiles.test_chunks import cookie_of, in_database

pytestmark = pytest.mark.django_db(transaction=True)


class HttpStore(Store):
    """What zarr-python needs of a server: GET with the Range header of each kind of request."""

    def __init__(self, loop: asyncio.AbstractEventLoop, app: Any, base: str, cookie: str):
        super().__init__(read_only=True)
        self.loop, self.app, self.base, self.cookie = loop, app, base, cookie

    def __eq__(self, other: object) -> bool:
        return self is other

    async def get(
        self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        headers = {"cookie": self.cookie}
        match byte_range:
            case RangeByteRequest(start, end):
                headers["range"] = f"bytes={start}-{end - 1}"
            case OffsetByteRequest(offset):
                headers["range"] = f"bytes={offset}-"
            case SuffixByteRequest(suffix):
                headers["range"] = f"bytes=-{suffix}"
        # zarr has an event loop of its own; the application lives in the test's.
        waiting = asyncio.run_coroutine_threadsafe(
            ask(self.app, f"{self.base}/{key}", **headers), self.loop
        )
        answer = await asyncio.wrap_future(waiting)
        if answer.status == 404:
            return None
        assert answer.status == (206 if byte_range else 200)
        return prototype.buffer.from_bytes(answer.body)

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        return [await self.get(key, prototype, wanted) for key, wanted in key_ranges]

    async def exists(self, key: str) -> bool:
        from zarr.core.buffer import default_buffer_prototype

        return await self.get(key, default_buffer_prototype()) is not None

    supports_writes = supports_deletes = supports_listing = False

    async def set(self, key: str, value: Buffer) -> None:
        raise PermissionError

    async def delete(self, key: str) -> None:
        raise PermissionError

    async def list(self) -> AsyncIterator[str]:
        raise NotImplementedError
        yield ""

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        raise NotImplementedError
        yield ""

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        raise NotImplementedError
        yield ""


async def test_zarr_python_reads_the_mosaic(app: Any, served: Served, viewer: Any) -> None:
    cookie = await in_database(cookie_of, viewer, served.experiment)
    store = HttpStore(asyncio.get_running_loop(), app, served.zarr, cookie)

    def read() -> tuple[Any, np.ndarray, np.ndarray]:
        group = zarr.open_group(store, mode="r", zarr_format=3)
        return group.attrs["ome"], group["0"][0, 0, 0, 600:, :1500], group["1"][0, 0, 0]

    ome, part, half = await asyncio.to_thread(read)

    assert ome["version"] == "0.5"
    assert np.array_equal(part, served.image[600:, :1500])
    blocks = served.image[:900, :1000].reshape(450, 2, 500, 2).astype(float)
    assert np.array_equal(half[:450, :500], np.floor(blocks.mean((1, 3)) + 0.5))


async def test_ranges(app: Any, served: Served, viewer: Any) -> None:
    cookie = await in_database(cookie_of, viewer, served.experiment)
    address = f"{served.zarr}/0/c/0/0/0/0/0"
    content = (served.root / served.mosaic.info["path"] / "0/c/0/0/0/0/0").read_bytes()
    size = len(content)

    whole = await ask(app, address, cookie=cookie)
    expected = {
        "bytes=0-99": (206, content[:100]),
        "bytes=5-": (206, content[5:]),
        "bytes=-20": (206, content[-20:]),
        f"bytes=-{size + 9}": (206, content),
        f"bytes=10-{size + 9}": (206, content[10:]),
        f"bytes={size}-": (416, None),
        "bytes=-0": (416, None),
        "bytes=9-3": (200, content),
        "bytes=0-1,5-6": (200, content),
        "lines=1-2": (200, content),
    }

    assert (whole.status, whole.body, whole.headers["accept-ranges"]) == (200, content, "bytes")
    for wanted, (status, body) in expected.items():
        answer = await ask(app, address, cookie=cookie, range=wanted)
        assert answer.status == status, wanted
        assert body is None or answer.body == body, wanted
    part = await ask(app, address, cookie=cookie, range="bytes=5-9")
    assert part.headers["content-range"] == f"bytes 5-9/{size}"
    beyond = await ask(app, address, cookie=cookie, range=f"bytes={size}-")
    assert beyond.headers["content-range"] == f"bytes */{size}"
    head = await ask(app, address, "HEAD", cookie=cookie)
    assert (head.headers["content-length"], head.body) == (str(size), b"")
    same = await ask(app, address, cookie=cookie, if_none_match=whole.headers["etag"])
    assert same.status == 304
    changed = await ask(app, address, cookie=cookie, range="bytes=0-9", if_range='"other"')
    assert (changed.status, changed.body) == (200, content)


async def test_large_files_come_in_pieces(
    app: Any, served: Served, viewer: Any, monkeypatch: Any
) -> None:
    from apps.tiles.application import files

    monkeypatch.setattr(files, "PIECE", 4096)
    cookie = await in_database(cookie_of, viewer, served.experiment)
    content = (served.root / served.mosaic.info["path"] / "0/c/0/0/0/0/0").read_bytes()

    whole = await ask(app, f"{served.zarr}/0/c/0/0/0/0/0", cookie=cookie)
    part = await ask(app, f"{served.zarr}/0/c/0/0/0/0/0", cookie=cookie, range="bytes=1-9000")

    assert whole.body == content
    assert part.body == content[1:9001]


async def test_only_an_images_own_files_are_there(app: Any, served: Served, viewer: Any) -> None:
    cookie = await in_database(cookie_of, viewer, served.experiment)
    (served.root / served.mosaic.info["path"] / "secret.json").write_text("{}")

    for rest in ("secret.json", "", "0", "0/c", "../mosaic.json", "0/../zarr.json", "0//zarr.json", "./zarr.json",
                 "0/c/0/0/0/0/0/../0", "/etc/passwd", ".zattrs", "0/c/0/0/0/5/0", "7/zarr.json",
                 "0/c/0/0/0/0/0/zarr.json", "zarr.json\n", "%2e%2e/mosaic.json"):  # fmt: skip
        answer = await ask(app, f"{served.zarr}/{rest}", cookie=cookie)
        assert answer.status == 404, rest
    assert (await ask(app, f"{served.zarr}/zarr.json")).status == 401
    labels = await ask(
        app, f"/zarr/{served.experiment.id}/{served.objects.id}.zarr/0/zarr.json", cookie=cookie
    )
    assert json.loads(labels.body)["data_type"] == "uint32"


async def test_older_versions_are_not_served(app: Any, served: Served, viewer: Any) -> None:
    await in_database(Mosaic.objects.filter(id=served.mosaic.id).update, is_current=False)
    cookie = await in_database(cookie_of, viewer, served.experiment)

    assert (await ask(app, f"{served.zarr}/zarr.json", cookie=cookie)).status == 404
    # Its chunks still are: a view that was shared keeps showing what it showed.
    assert (await ask(app, served.chunk, cookie=cookie)).status == 200


async def test_viewers_of_other_sites_may_read_with_a_token(
    app: Any, served: Served, viewer: Any
) -> None:
    _, token = await in_database(
        token_create, username="viewer", password=PASSWORD, name="t", scope="read"
    )
    address = f"{served.zarr}/zarr.json"

    asked_first = await ask(app, address, "OPTIONS", origin="https://viewer.example")
    answer = await ask(app, address, authorization=f"Bearer {token}")
    absent = await ask(app, f"{served.zarr}/0/c/0/0/0/0/9", authorization=f"Bearer {token}")
    tile = await ask(app, served.chunk, authorization=f"Bearer {token}")

    assert (asked_first.status, answer.status, absent.status) == (204, 200, 404)
    for each in (asked_first, answer, absent):
        assert each.headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in each.headers
    assert "authorization" in asked_first.headers["access-control-allow-headers"]
    assert "access-control-allow-origin" not in tile.headers

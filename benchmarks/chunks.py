"""CPU that a chunk request costs over the bare server; prints JSON.

One daphne process serves a chunk of a mosaic through the tile application (session checked, image
looked up, stored bytes read), the same bytes from memory through the smallest ASGI application, and
the same from a Django view. CPU time is the server process's own (user and system), so other work on
the machine hardly shows. Run: ``python -m benchmarks.chunks [requests]``.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import multiprocessing
import os
import platform
import socket
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any
from unittest.mock import patch
from uuid import uuid4

import numpy as np

N_BYTES = 512 * 512 * 2


def _mosaic(folder: Path) -> Path:
    """Write one shard of 4 x 4 chunks of camera-like pixels."""
    from gpu_workers.storage.pyramid import Pyramid

    rng = np.random.default_rng(1)
    pixels = (rng.poisson(120, (2048, 2048)) * 2 + 100).astype(np.uint16)
    pyramid = Pyramid(folder, (1, 1, 1, 2048, 2048), "uint16", 2048, 1)
    pyramid.write_shard(0, (0, 0, 0), 0, 0, pixels)
    pyramid.write_metadata(name="benchmark", pixel_size_um=None)
    return folder


def _serve(socket_: socket.socket, folder: Path, ready: Any) -> None:
    """Run daphne with the tile application, whose two questions to PostgreSQL are answered here."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tissuemaps.settings.base")
    os.environ.setdefault("TISSUEMAPS_SECRET_KEY", "only-for-a-benchmark-" + "x" * 32)
    import django

    django.setup()
    from daphne.server import Server
    from django.core.asgi import get_asgi_application
    from django.http import HttpResponse
    from django.urls import path

    from apps.tiles.application import TileApplication, gate, routes
    from apps.tiles.selectors.images import ServedImage
    from apps.tiles.services import Claims, claims_sign
    from gpu_workers.storage.chunks import ShardReader
    from tissuemaps import urls

    experiment, image_id, user = str(uuid4()), uuid4(), str(uuid4())
    plate = uuid4().hex
    image = ServedImage(
        id=image_id, key="ab", plate=plate, object_type=None, root=folder.parent, folder=folder,
        levels=(folder / "0",), is_current=True,
    )  # fmt: skip

    async def epoch(_: Any) -> int:
        return 1

    async def find(_: Any) -> ServedImage:
        return image

    chunk = ShardReader().read(folder / "0", (0, 0, 0, 1, 1))
    assert chunk is not None
    headers = [
        (b"content-type", b"application/octet-stream"),
        (b"content-length", str(len(chunk)).encode()),
    ]
    urls.urlpatterns.insert(0, path("plain/", lambda _: HttpResponse(chunk)))

    async def bare(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/plain/":
            await django_application(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": chunk})

    django_application = get_asgi_application()
    with patch.object(gate, "_ask_epoch", epoch), patch.object(routes, "_ask_image", find):
        application = TileApplication(bare)
    claims = Claims(user, experiment, 1, int(time.time()) + 3600, frozenset({plate}), frozenset())
    ready.send(
        {
            "tile": f"/tiles/{experiment}/{image_id}/ab/0/0/0/0/{{y}}/{{x}}",
            "cookie": f"theme=dark; tm_tiles={claims_sign(claims)}",
            "bytes": len(chunk),
        }
    )
    endpoint = f"fd:fileno={socket_.fileno()}"
    Server(application=application, endpoints=[endpoint], signal_handlers=False, verbosity=0).run()


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _load(port: int, addresses: list[str], cookie: str) -> list[float]:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    waited = []
    for address in addresses:
        started = time.perf_counter()
        connection.request("GET", address, headers={"Cookie": cookie})
        answer = connection.getresponse()
        body = answer.read()
        assert answer.status == 200, (answer.status, body[:200])
        waited.append(time.perf_counter() - started)
    connection.close()
    return waited


def _measure(
    pid: int, port: int, addresses: list[str], cookie: str, clients: int = 4
) -> dict[str, float]:
    _load(port, addresses[:64], cookie)
    before = _cpu_s(pid)
    results: list[list[float]] = []
    threads = [
        threading.Thread(
            target=lambda part: results.append(_load(port, part, cookie)),
            args=(addresses[i::clients],),
        )
        for i in range(clients)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    waited = sorted(w for part in results for w in part)
    return {
        "cpu_ms": round((_cpu_s(pid) - before) * 1000 / len(addresses), 4),
        "p50_ms": round(statistics.median(waited) * 1000, 2),
        "p95_ms": round(waited[int(len(waited) * 0.95)] * 1000, 2),
    }


def main(n: int = 3000) -> dict[str, Any]:
    """Return CPU per request of the tile, the bare server and a Django view, and the differences."""
    with tempfile.TemporaryDirectory() as name, socket.socket() as listening:
        folder = _mosaic(Path(name) / "p.zarr")
        listening.bind(("127.0.0.1", 0))
        listening.listen(64)
        context = multiprocessing.get_context("fork")
        ours, theirs = context.Pipe()
        server = context.Process(target=_serve, args=(listening, folder, theirs), daemon=True)
        server.start()
        about = ours.recv()
        assert server.pid is not None
        port = listening.getsockname()[1]
        time.sleep(1)
        chunks = [about["tile"].format(y=i // 4 % 4, x=i % 4) for i in range(n)]
        kinds = {"tile": chunks, "bare": ["/bare"] * n, "django": ["/plain/"] * (n // 4)}
        found = {
            kind: _measure(server.pid, port, addresses, about["cookie"])
            for kind, addresses in [
                *kinds.items(),
                ("bare_again", kinds["bare"]),
                ("tile_again", chunks),
            ]
        }
        many = _measure(server.pid, port, chunks, about["cookie"], clients=32)
        server.terminate()
        server.join()
    tile = min(found["tile"]["cpu_ms"], found["tile_again"]["cpu_ms"])
    bare = min(found["bare"]["cpu_ms"], found["bare_again"]["cpu_ms"])
    return {
        **found,
        "tile_32_clients": many,
        "over_bare_ms": round(tile - bare, 4),
        "django_over_bare_ms": round(found["django"]["cpu_ms"] - bare, 4),
        "chunk_bytes": about["bytes"],
        "requests": n,
        "machine": f"{os.cpu_count()} x {platform.processor() or platform.machine()}",
    }


if __name__ == "__main__":
    asyncio.set_event_loop_policy(asyncio.DefaultEventLoopPolicy())
    print(json.dumps(main(*map(int, sys.argv[1:2])), indent=1))

"""A small client of the public HTTP API: what the demo does, any script can do."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from tissuemaps.embedded.errors import StartError

Json = Any
REQUEST_BYTES = 8 * 2**20  # of at most 16 MB that the server takes in one request
TIMEOUT_S = 120.0
IDLE_S = 2.0  # a connection unused for longer is made anew: the server may be closing it just now


class ApiError(StartError):
    """The API refused a request; the message is the API's own."""


class Client:
    """Talks to one server with one token; every thread keeps its own connection."""

    def __init__(self, url: str):
        self._address = urlsplit(url)
        self._local = threading.local()
        self.token = ""

    def _connection(self) -> http.client.HTTPConnection:
        connection: http.client.HTTPConnection | None = getattr(self._local, "connection", None)
        if connection is None or time.monotonic() - self._local.used > IDLE_S:
            if connection is not None:
                connection.close()
            kind = (
                http.client.HTTPSConnection
                if self._address.scheme == "https"
                else http.client.HTTPConnection
            )
            connection = kind(self._address.hostname or "", self._address.port, timeout=TIMEOUT_S)
            self._local.connection = connection
        self._local.used = time.monotonic()
        return connection

    def _send(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str]
    ) -> tuple[int, bytes]:
        connection = self._connection()
        for attempt in (1, 2):
            try:
                connection.request(method, path, body, headers)
                answer = connection.getresponse()
                return answer.status, answer.read()
            except (http.client.HTTPException, OSError) as error:
                connection.close()
                # A kept connection may have been closed meanwhile. Only what may repeat is repeated.
                if attempt == 2 or method == "POST":
                    raise ApiError(
                        f"{method} {path}: the server does not answer ({error})"
                    ) from None
        raise AssertionError("unreachable")

    def request(
        self, method: str, path: str, body: Json = None, *, raw: bytes | None = None, **headers: str
    ) -> Json:
        """Send a request below ``/api/v1/`` and return the answer's JSON; ApiError for 4xx and 5xx."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.token:
            sent["Authorization"] = f"Bearer {self.token}"
        if raw is None and body is not None:
            raw = json.dumps(body).encode()
            sent["Content-Type"] = "application/json"
        status, content = self._send(method, f"/api/v1/{path}", raw, sent)
        if status >= 400:
            raise ApiError(f"{method} {path} was refused ({status}): {_message(content)}")
        return json.loads(content) if content else None

    def get(self, path: str) -> Json:
        """Return one resource."""
        return self.request("GET", path)

    def post(self, path: str, body: Json) -> Json:
        """Create something and return it."""
        return self.request("POST", path, body)

    def put(self, path: str, body: Json) -> Json:
        """Replace something and return it."""
        return self.request("PUT", path, body)

    def every(self, path: str) -> Iterator[Json]:
        """Yield all entries of a list, page after page."""
        while path:
            page = self.get(path)
            yield from page["results"]
            following = page.get("next")
            path = "" if not following else following.partition("/api/v1/")[2]

    def login(self, username: str, password: str, name: str) -> None:
        """Exchange user name and password for a token."""
        body = {"username": username, "password": password, "name": name}
        self.token = self.post("auth/tokens/", body)["token"]

    def upload(self, path: str, file: Path, name: str) -> int:
        """Send one file in requests small enough for the server; returns its size."""
        total, start = file.stat().st_size, 0
        with file.open("rb") as stream:
            while True:
                part = stream.read(REQUEST_BYTES)
                last = start + len(part) - 1
                span = f"bytes {start}-{last}/{total}" if part else f"bytes */{total}"
                self.request(
                    "PUT", f"{path}{quote(name)}/", raw=part,
                    Content_Range=span, Content_Type="application/octet-stream",
                )  # fmt: skip
                start = last + 1
                if start >= total:
                    return total

    def upload_folder(self, path: str, folder: Path, progress: Callable[[float], None]) -> int:
        """Send every file below a folder, a few at a time; returns the bytes sent."""
        files = sorted(f for f in folder.rglob("*") if f.is_file())
        sent = 0
        with ThreadPoolExecutor(4) as pool:
            for done, size in enumerate(
                pool.map(lambda f: self.upload(path, f, f.relative_to(folder).as_posix()), files), 1
            ):
                sent += size
                progress(done / len(files))
        return sent


def _message(content: bytes) -> str:
    try:
        problem = json.loads(content)
        return f"{problem['message']} [{problem['code']}]"
    except (ValueError, KeyError, TypeError):
        return content[:200].decode(errors="replace")

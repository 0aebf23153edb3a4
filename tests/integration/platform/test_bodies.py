"""The web server's bound on bodies: nobody fills the disk with one request."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from tissuemaps.embedded.platform import free_port
from tissuemaps.embedded.web import MAX_BODY_BYTES

START = b"POST /health HTTP/1.1\r\nHost: localhost\r\n"


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    number = free_port("127.0.0.1", 0)
    process = subprocess.Popen(
        [sys.executable, "-m", "tissuemaps.embedded.web", "-b", "127.0.0.1", "-p", str(number),
         "tissuemaps.asgi:application"],
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "tissuemaps.settings.test"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", number), 1).close()
                break
            except OSError:
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.1)
        yield number
    finally:
        process.kill()
        process.wait()


def _answer(connection: socket.socket) -> bytes:
    try:
        return connection.recv(200)
    except ConnectionResetError:
        return b""


def test_a_body_is_refused_from_its_headers(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), 30) as connection:
        connection.sendall(START + b"Content-Length: %d\r\n\r\n" % (MAX_BODY_BYTES + 1))

        assert _answer(connection).startswith(b"HTTP/1.1 413 ")


def test_a_body_that_says_no_length_is_cut_off(port: int) -> None:
    piece = b"100000\r\n" + b"0" * 2**20 + b"\r\n"
    sent = 0

    with socket.create_connection(("127.0.0.1", port), 30) as connection:
        connection.sendall(START + b"Transfer-Encoding: chunked\r\n\r\n")
        try:
            while sent < 4 * MAX_BODY_BYTES:
                connection.sendall(piece)
                sent += 2**20
        except (BrokenPipeError, ConnectionResetError):
            pass

    assert MAX_BODY_BYTES <= sent < 2 * MAX_BODY_BYTES


def test_other_bodies_reach_the_application(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), 30) as connection:
        connection.sendall(START + b"Content-Length: 5\r\n\r\nhello")

        assert _answer(connection).startswith(
            b"HTTP/1.1 403 "
        )  # its answer to a form without a token

"""daphne with a bound on bodies: ``python -m tissuemaps.embedded.web`` takes daphne's own options.

daphne writes a whole body to the disk before anybody may look at the request, so that a stranger
could fill it. Here a body is refused from its headers, or where it grows beyond the bound.
"""

from __future__ import annotations

import json
from typing import Any

# First of all: it chooses the reactor.
import daphne.server
from daphne.cli import CommandLineInterface
from daphne.http_protocol import HTTPFactory, WebRequest

MAX_BODY_BYTES = 32 * 1024**2
"""Twice what an upload's request may carry: what is between gets the application's own answer."""
_BODY = json.dumps(
    {"code": "too_large", "message": "the body is too large", "extra": {"limit": MAX_BODY_BYTES}}
).encode()
REFUSAL = (
    b"HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n%b" % (len(_BODY), _BODY)
)


class BoundedRequest(WebRequest):  # type: ignore[misc]
    """A request whose body is at most `MAX_BODY_BYTES` long."""

    received = 0
    refused = False

    def gotLength(self, length: int | None) -> None:  # noqa: N802
        """Refuse a body that says of itself that it is too long."""
        super().gotLength(length)
        if length is not None and length > MAX_BODY_BYTES:
            self._refuse()

    def handleContentChunk(self, data: bytes) -> None:  # noqa: N802
        """Keep a piece of the body, unless it is one too many."""
        self.received += len(data)
        if self.received > MAX_BODY_BYTES:
            self._refuse()
        if not self.refused:
            super().handleContentChunk(data)

    def process(self) -> Any:
        """Hand the request to the application, unless it has its answer already."""
        return None if self.refused else super().process()

    def _refuse(self) -> None:
        if not self.refused:
            self.refused = True
            self.channel.transport.write(REFUSAL)
            self.channel.loseConnection()


class BoundedFactory(HTTPFactory):  # type: ignore[misc]
    """Connections whose requests are bounded."""

    def buildProtocol(self, address: Any) -> Any:  # noqa: N802
        """Return the protocol of one connection."""
        protocol = super().buildProtocol(address)
        protocol.requestFactory = BoundedRequest
        return protocol


if __name__ == "__main__":
    # The server looks its factory up by this name and offers no other way to choose one.
    daphne.server.HTTPFactory = BoundedFactory
    CommandLineInterface.entrypoint()

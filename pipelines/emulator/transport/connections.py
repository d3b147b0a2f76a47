"""The open TCP connections, so that a fault can drop one as a network would."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol


class Connections:
    """The open TCP connections by the client's address and port."""

    def __init__(self) -> None:
        self._transports: dict[tuple[str, int], asyncio.Transport] = {}

    def opened(self, client: tuple[str, int], transport: asyncio.Transport) -> None:
        """Remember a connection."""
        self._transports[client] = transport

    def closed(self, client: tuple[str, int]) -> None:
        """Forget a connection."""
        self._transports.pop(client, None)

    def cut(self, client: tuple[str, int], flush: bool) -> None:
        """Drop a connection; with `flush`, data already written may still arrive."""
        transport = self._transports.get(client)
        if transport is None:
            return
        if flush:
            transport.close()
        else:
            transport.abort()


def protocol_of(connections: Connections) -> type[H11Protocol]:
    """Return uvicorn's HTTP/1.1 protocol, extended to report its connections."""

    class Protocol(H11Protocol):
        """uvicorn's protocol, which reports opened and closed connections."""

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            if self.client is not None:
                connections.opened(self.client, transport)

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            if self.client is not None:
                connections.closed(self.client)

    return Protocol

"""The open connections, so that a fault can drop one as a network would."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol


class Connections:
    """The open TCP connections by the client's address, so that one can be dropped."""

    def __init__(self) -> None:
        self._transports: dict[tuple[str, int], asyncio.Transport] = {}

    def opened(self, client: tuple[str, int], transport: asyncio.Transport) -> None:
        """Remember a connection."""
        self._transports[client] = transport

    def closed(self, client: tuple[str, int]) -> None:
        """Forget a connection."""
        self._transports.pop(client, None)

    def cut(self, client: tuple[str, int], flush: bool) -> None:
        """Drop a connection; with `flush`, what was written may still arrive."""
        transport = self._transports.get(client)
        if transport is None:
            return
        if flush:
            transport.close()
        else:
            transport.abort()


def protocol_of(connections: Connections) -> type[H11Protocol]:
    """HTTP/1.1 as uvicorn speaks it, telling `connections` of what opens and closes."""

    class Protocol(H11Protocol):
        """uvicorn's own, telling of its connections."""

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            if self.client is not None:
                connections.opened(self.client, transport)

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            if self.client is not None:
                connections.closed(self.client)

    return Protocol

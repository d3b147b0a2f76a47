"""Forward connections to the demo's Prefect server, and report each use."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import closing, suppress

LOOPBACK = "127.0.0.1"


async def forward(
    port: int,
    is_used: Callable[[], None],
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
) -> None:
    """Forward a connection to the server; call `is_used` whenever its other side sends."""
    with closing(writer), suppress(OSError):
        inner_reader, inner_writer = await asyncio.open_connection(LOOPBACK, port)
        with closing(inner_writer):
            requests = asyncio.create_task(_copy(reader, inner_writer, is_used))
            try:
                await _copy(inner_reader, writer)
            finally:
                requests.cancel()


async def _copy(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    is_used: Callable[[], None] = lambda: None,
) -> None:
    with suppress(OSError):
        while data := await reader.read(1 << 16):
            is_used()
            writer.write(data)
            await writer.drain()
        writer.write_eof()

"""Bytes to a server and bytes back, whatever they mean: torture and attack traffic goes past parser, transactions and timers."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine
from typing import Any

from .fault import TransportError
from .tls import TlsFiles, check_peer, client_context
from .transports import CONNECT_WITHIN, Hop

CHUNK = 32 * 1024
"""Bytes that are handed on at once, at most."""
MOST = 1000
"""Chunks that one channel receives before it is closed: whoever answers with a flood fills no memory."""


class RawChannel:
    """One socket of its own, bound at once, so that a message can name it before it is sent; `send` waits for the connection.

    `received` gets a datagram or a piece of a stream, `closed` why nothing more will come, once.
    """

    def __init__(self, host: str, transport: str, received: Callable[[bytes], None], closed: Callable[[str], None]) -> None:
        kind = socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM
        self._socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, kind)
        self._socket.setblocking(False)
        self._socket.bind((host, 0))
        self.local: tuple[str, int] = self._socket.getsockname()[:2]
        self._transport, self._received, self._closed = transport, received, closed
        self._over = False
        self._queue: asyncio.Queue[bytes] = asyncio.Queue()

    def send(self, data: bytes) -> None:
        """Queue some bytes: one datagram, or the next piece of the stream."""
        self._queue.put_nowait(data)

    async def run(self, hop: Hop, files: TlsFiles, *, verify: bool) -> None:
        """Connect, send what is queued and receive, until the other side closes or this is cancelled."""
        reason = "closed"
        try:
            async with asyncio.timeout(CONNECT_WITHIN):
                await asyncio.get_running_loop().sock_connect(self._socket, hop.address)
            await (self._datagrams() if self._transport == "udp" else self._stream(hop, files, verify))
        except (OSError, TimeoutError, TransportError) as error:
            reason = str(error) or type(error).__name__
        finally:
            self.close(reason)

    def close(self, reason: str) -> None:
        """Nothing more will come; told once."""
        if not self._over:
            self._over = True
            self._socket.close()
            self._closed(reason)

    async def _datagrams(self) -> None:
        loop = asyncio.get_running_loop()

        async def write() -> None:
            while True:
                await loop.sock_sendall(self._socket, await self._queue.get())

        async def read() -> None:
            for _ in range(MOST):
                self._received(await loop.sock_recv(self._socket, CHUNK))

        await _until_read(read(), write())

    async def _stream(self, hop: Hop, files: TlsFiles, verify: bool) -> None:
        secure = client_context(files, verify=verify) if self._transport == "tls" else None
        name = hop.domain if secure else None
        async with asyncio.timeout(CONNECT_WITHIN):
            reader, writer = await asyncio.open_connection(sock=self._socket, ssl=secure, server_hostname=name)
        if secure and verify:
            check_peer(writer.get_extra_info("peercert") or {}, hop.domain)

        async def write() -> None:
            while True:
                writer.write(await self._queue.get())
                await writer.drain()

        async def read() -> None:
            for _ in range(MOST):
                data = await reader.read(CHUNK)
                if not data:
                    return
                self._received(data)

        try:
            await _until_read(read(), write())
        finally:
            writer.close()


async def _until_read(read: Coroutine[Any, Any, None], write: Coroutine[Any, Any, None]) -> None:
    """Both at once, until there is nothing more to read or one of them fails."""
    tasks = [asyncio.ensure_future(read), asyncio.ensure_future(write)]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()

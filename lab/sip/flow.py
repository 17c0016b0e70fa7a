"""Ways for messages to travel: a datagram socket or one connection, UDP, TCP and TLS alike (RFC 3261 §18)."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from .fault import MessageError
from .framing import StreamFramer

Address = tuple[str, int]
_BINDING_REQUEST, _BINDING_RESPONSE, _MAGIC_COOKIE = b"\x00\x01", b"\x01\x01", b"\x21\x12\xa4\x42"
_XOR_MAPPED_ADDRESS = 0x0020
MAX_QUEUED = 1024 * 1024
"""Bytes that wait for one peer, at most."""
Received = Callable[[bytes, "Flow"], None]


class Flow(Protocol):
    """Where a message came from and where answers go."""

    transport: str
    local: Address
    peer: Address
    reliable: bool

    gone: asyncio.Event
    """Set when it is known that it carries nothing any more."""

    @property
    def alive(self) -> bool:
        """Can still carry messages."""

    def send(self, data: bytes) -> None:
        """Send one message."""

    async def ping(self) -> bytes:
        """Send a keep-alive, and return when it is answered (RFC 5626 §3.5): how the other side sees our address, where it says so."""


@dataclass(eq=False)
class DatagramFlow:
    """UDP between one socket and one peer."""

    socket: asyncio.DatagramTransport
    local: Address
    peer: Address
    pings: dict[bytes, asyncio.Future[bytes]] = field(default_factory=dict)
    transport: str = "udp"
    reliable: bool = False
    gone: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def alive(self) -> bool:
        """As long as the socket is."""
        return not self.socket.is_closing()

    def send(self, data: bytes) -> None:
        """One datagram."""
        self.socket.sendto(data, self.peer)

    async def ping(self) -> bytes:
        """A STUN Binding request (RFC 5626 §3.5.2, RFC 8489 §5)."""
        name = secrets.token_bytes(12)
        answered: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self.pings[name] = answered
        self.send(_BINDING_REQUEST + bytes(2) + _MAGIC_COOKIE + name)
        try:
            return await answered
        finally:
            del self.pings[name]


class DatagramSocket(asyncio.DatagramProtocol):
    """Our UDP socket; every datagram is one message, keep-alives are dropped (RFC 5626 §3.5)."""

    def __init__(self, local: Address, received: Received) -> None:
        self.local = local
        self._received = received
        self._pings: dict[bytes, asyncio.Future[bytes]] = {}
        self.transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is open."""
        self.transport = transport  # type: ignore[assignment]

    def datagram_received(self, data: bytes, addr: Address) -> None:
        """One message, or the answer to a keep-alive of ours."""
        if data[:2] == _BINDING_RESPONSE and data[4:8] == _MAGIC_COOKIE:
            answered = self._pings.get(data[8:20])
            if answered and not answered.done():
                answered.set_result(_mapped(data))
        elif data.strip(b"\r\n\0"):
            self._received(data, self.flow((addr[0], addr[1])))

    def flow(self, peer: Address) -> DatagramFlow:
        """The flow to a peer."""
        if self.transport is None:
            raise MessageError("the UDP socket is not open yet")
        return DatagramFlow(self.transport, self.local, peer, self._pings)


@dataclass(eq=False)
class StreamFlow:
    """One TCP or TLS connection, whoever opened it."""

    writer: asyncio.StreamWriter
    transport: str
    received: Received
    reliable: bool = True
    on_close: list[Callable[[StreamFlow], None]] = field(default_factory=list)
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    _heard: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.local: Address = self.writer.get_extra_info("sockname")[:2]
        self.peer: Address = self.writer.get_extra_info("peername")[:2]

    @property
    def alive(self) -> bool:
        """Neither side has closed it."""
        return not self.writer.is_closing()

    def send(self, data: bytes) -> None:
        """Queue one message; the loop writes it. Who does not read what he is sent loses his connection."""
        self.writer.write(data)
        if self.writer.transport.get_write_buffer_size() > MAX_QUEUED:
            self.writer.transport.abort()

    async def ping(self) -> bytes:
        """CRLF twice (RFC 5626 §3.5.1); whatever comes back shows that the other side lives."""
        self._heard.clear()
        self.send(b"\r\n\r\n")
        await self._heard.wait()
        return b""

    def close(self) -> None:
        """Close it."""
        self.writer.close()

    async def read(self, reader: asyncio.StreamReader, complain: Callable[[str], None]) -> None:
        """Receive until the other side closes; a stream that cannot be framed is closed by us."""
        framer = StreamFramer()
        try:
            while data := await reader.read(65536):
                self._heard.set()
                for message in framer.feed(data):
                    self.received(message, self)
        except (MessageError, OSError) as error:
            complain(f"{self.transport} {self.peer[0]}:{self.peer[1]}: {error}")
        finally:
            self.writer.close()
            self.gone.set()
            for closed in self.on_close:
                closed(self)


def _mapped(response: bytes) -> bytes:
    """Port and address of a STUN response's XOR-MAPPED-ADDRESS (RFC 8489 §14.2), with its mask off; nothing where there is none."""
    rest = response[20:]
    while len(rest) >= 4:
        kind, length = int.from_bytes(rest[:2], "big"), int.from_bytes(rest[2:4], "big")
        if kind == _XOR_MAPPED_ADDRESS:
            mask = _MAGIC_COOKIE[:2] + response[4:20]
            return bytes(one ^ other for one, other in zip(rest[6 : 4 + length], mask, strict=False))
        rest = rest[4 + (length + 3) // 4 * 4 :]
    return b""

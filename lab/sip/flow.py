"""Ways for messages to travel: a datagram socket or one connection, UDP, TCP and TLS alike (RFC 3261 §18)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from .fault import MessageError
from .framing import StreamFramer

Address = tuple[str, int]
Received = Callable[[bytes, "Flow"], None]


class Flow(Protocol):
    """Where a message came from and where answers go."""

    transport: str
    local: Address
    peer: Address
    reliable: bool

    @property
    def alive(self) -> bool:
        """Can still carry messages."""

    def send(self, data: bytes) -> None:
        """Send one message."""


@dataclass(eq=False)
class DatagramFlow:
    """UDP between one socket and one peer."""

    socket: asyncio.DatagramTransport
    local: Address
    peer: Address
    transport: str = "udp"
    reliable: bool = False

    @property
    def alive(self) -> bool:
        """As long as the socket is."""
        return not self.socket.is_closing()

    def send(self, data: bytes) -> None:
        """One datagram."""
        self.socket.sendto(data, self.peer)


class DatagramSocket(asyncio.DatagramProtocol):
    """Our UDP socket; every datagram is one message, keep-alives are dropped (RFC 5626 §3.5)."""

    def __init__(self, local: Address, received: Received) -> None:
        self.local = local
        self._received = received
        self.transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is open."""
        self.transport = transport  # type: ignore[assignment]

    def datagram_received(self, data: bytes, addr: Address) -> None:
        """One message."""
        if data.strip(b"\r\n\0"):
            self._received(data, self.flow((addr[0], addr[1])))

    def flow(self, peer: Address) -> DatagramFlow:
        """The flow to a peer."""
        if self.transport is None:
            raise MessageError("the UDP socket is not open yet")
        return DatagramFlow(self.transport, self.local, peer)


@dataclass(eq=False)
class StreamFlow:
    """One TCP or TLS connection, whoever opened it. `domain` is whom we dialled and found at its other end."""

    writer: asyncio.StreamWriter
    transport: str
    received: Received
    domain: str = ""
    reliable: bool = True
    on_close: list[Callable[[StreamFlow], None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.local: Address = self.writer.get_extra_info("sockname")[:2]
        self.peer: Address = self.writer.get_extra_info("peername")[:2]

    @property
    def alive(self) -> bool:
        """Neither side has closed it."""
        return not self.writer.is_closing()

    def send(self, data: bytes) -> None:
        """Queue one message; the loop writes it."""
        self.writer.write(data)

    def close(self) -> None:
        """Close it."""
        self.writer.close()

    async def read(self, reader: asyncio.StreamReader, complain: Callable[[str], None]) -> None:
        """Receive until the other side closes; a stream that cannot be framed is closed by us."""
        framer = StreamFramer()
        try:
            while data := await reader.read(65536):
                for message in framer.feed(data):
                    self.received(message, self)
        except (MessageError, OSError) as error:
            complain(f"{self.transport} {self.peer[0]}:{self.peer[1]}: {error}")
        finally:
            self.writer.close()
            for closed in self.on_close:
                closed(self)

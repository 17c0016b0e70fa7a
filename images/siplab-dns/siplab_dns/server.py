"""The sockets: UDP and TCP on port 53 of every address, and what happens to a query between arrival and answer."""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
import time
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple, cast

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from siplab_dns.faults import Fault, FaultBook, Question
from siplab_dns.lies import lie, to_wire
from siplab_dns.zones import Zones

log = logging.getLogger("siplab_dns")

_TCP_IDLE = 30.0  # seconds
_CACHE = 4096  # answers
_HISTORY = 10000  # queries
_TOLD = 1000  # events
_HEADER = 12
_RCODES = {int(code): dns.rcode.to_text(code) for code in dns.rcode.Rcode if code < 16}


class Seen(NamedTuple):
    """A query, as the log of queries tells it. `rcode` is None where nothing was sent; `fault` is the id of the fault that struck."""

    seq: int
    t: float
    transport: str
    client: str
    port: int
    name: str
    type: str
    rcode: str | None
    fault: str | None


class Reply(NamedTuple):
    """What to send, None for silence, and how many seconds from now."""

    wire: bytes | None
    delay: float = 0.0


class _Known(NamedTuple):
    """A query that was asked before: parsed, and with the right answer but for the id."""

    question: Question
    type: str
    answer: bytes


class Answerer:
    """Wire in, wire out.

    All but the id of a right answer depends on the query's bytes and the asker's network alone: a query that was seen before is neither
    parsed nor answered anew.
    """

    def __init__(self, zones: Zones, faults: FaultBook | None = None, on_struck: Callable[[Seen], None] = lambda _: None) -> None:
        """`on_struck` is told of every query that a fault struck, up to _TOLD between two resets."""
        self.faults = FaultBook() if faults is None else faults
        self.queries: deque[Seen] = deque(maxlen=_HISTORY)
        self._zones = zones
        self._cache: dict[tuple[bool, int | None, bytes], _Known] = {}
        self._generation = self.faults.generation
        self._count = 0
        self._on_struck = on_struck
        self._struck = 0

    def forget(self) -> None:
        """Back to the state of a fresh start."""
        self.faults.reset()
        self.queries.clear()
        self._struck = 0

    def since(self, seq: int, limit: int) -> list[dict[str, Any]]:
        """Queries after number `seq`, the oldest first, at most `limit`."""
        return [seen._asdict() for seen in self.queries if seen.seq > seq][:limit]

    def reply(self, wire: bytes, tcp: bool, client: tuple[str, int]) -> Reply:
        """What to send back. A datagram that is no query never raises."""
        if self._generation != self.faults.generation:
            self._cache.clear()
            self._generation = self.faults.generation
        view = self._zones.view(client[0])
        known = self._cache.get((tcp, view, wire[2:]))
        if known is None:
            query = _parse(wire)
            if query is None:
                return Reply(_format_error(wire))
            known = self._remember(wire, query, tcp, view)
        struck = self.faults.take(known.question, client[0]) if self.faults else None
        if struck is None:
            sent, delay = wire[:2] + known.answer, 0.0
        else:
            sent, delay = self._lie(wire, tcp, view, struck[1]), struck[1].seconds
        self._note(known, tcp, client, sent, struck[0] if struck else None)
        return Reply(sent, delay)

    def _remember(self, wire: bytes, query: dns.message.Message, tcp: bool, view: int | None) -> _Known:
        question = query.question[0] if query.question else dns.rrset.RRset(dns.name.root, dns.rdataclass.IN, dns.rdatatype.NONE)
        answer = to_wire(self._truth(query, view), query, tcp)[2:]
        known = _Known(
            Question.of(question.name, question.rdtype), dns.rdatatype.to_text(question.rdtype) if query.question else "", answer
        )
        if len(self._cache) >= _CACHE:
            self._cache.clear()
        self._cache[(tcp, view, wire[2:])] = known
        return known

    def _truth(self, query: dns.message.Message, view: int | None) -> dns.message.Message:
        response = self._zones.answer(query, view)
        if self.faults:
            response.additional = [rrset for rrset in response.additional if not self.faults.cover(Question.of(rrset.name, rrset.rdtype))]
        return response

    def _lie(self, wire: bytes, tcp: bool, view: int | None, fault: Fault) -> bytes | None:
        query = _parse(wire)
        return lie(fault, query, self._truth(query, view), tcp) if query and query.question else None

    def _note(self, known: _Known, tcp: bool, client: tuple[str, int], sent: bytes | None, fault: str | None) -> None:
        self._count += 1
        rcode = _RCODES.get(sent[3] & 15, str(sent[3] & 15)) if sent else None
        where = ("tcp" if tcp else "udp", client[0], client[1])
        seen = Seen(self._count, time.time(), *where, known.question.name, known.type, rcode, fault)
        self.queries.append(seen)
        if fault is not None and self._struck < _TOLD:
            self._struck += 1
            self._on_struck(seen)


def _parse(wire: bytes) -> dns.message.Message | None:
    """A query, or None. dnspython raises more than its own errors on bytes made up to hurt."""
    try:
        query = dns.message.from_wire(wire, ignore_trailing=True)
    except (dns.exception.DNSException, ValueError, IndexError, struct.error) as error:
        log.warning("ill-formed query of %d bytes: %s", len(wire), error or type(error).__name__)
        return None
    return None if query.flags & dns.flags.QR else query


def _format_error(wire: bytes) -> bytes | None:
    """FORMERR for what has a header; silence for what has none, and for responses (or two servers would talk for ever)."""
    if len(wire) < _HEADER or wire[2] & 0x80:
        return None
    return wire[:2] + bytes([0x80 | (wire[2] & 0x79), dns.rcode.FORMERR]) + bytes(8)


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, answerer: Answerer) -> None:
        self._answerer = answerer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        try:
            reply = self._answerer.reply(data, False, (addr[0], addr[1]))
        except Exception:
            log.exception("query from %s: %s", addr[0], data.hex())  # our bug, and no reason to stop serving
            return
        if reply.wire is None:
            return
        if reply.delay:
            asyncio.get_running_loop().call_later(reply.delay, self._transport.sendto, reply.wire, addr)
        else:
            self._transport.sendto(reply.wire, addr)


class Server:
    """Binds everything, or nothing."""

    def __init__(self, answerer: Answerer, port: int = 53, hosts: tuple[str, ...] = ("0.0.0.0", "::")) -> None:  # noqa: S104  sealed network
        self._answerer = answerer
        self._port = port
        self._hosts = hosts
        self._closers: list[Callable[[], None]] = []

    async def start(self) -> int:
        """Open the sockets; from here on queries are answered. Returns the port (chosen by the kernel where 0 was asked)."""
        loop = asyncio.get_running_loop()
        for host in self._hosts:
            udp = _socket(host, self._port, socket.SOCK_DGRAM)
            self._port = udp.getsockname()[1]
            transport, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(self._answerer), sock=udp)
            self._closers.append(transport.close)
            tcp = await asyncio.start_server(self._stream, sock=_socket(host, self._port, socket.SOCK_STREAM))
            self._closers.append(tcp.close)
        return self._port

    def close(self) -> None:
        """Close the sockets."""
        for closer in self._closers:
            closer()

    async def _stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """RFC 7766: queries one after the other, until the client has had enough."""
        peer = writer.get_extra_info("peername")
        try:
            while True:
                async with asyncio.timeout(_TCP_IDLE):
                    wire = await reader.readexactly(int.from_bytes(await reader.readexactly(2)))
                reply = self._answerer.reply(wire, True, peer[:2])
                if reply.delay:
                    await asyncio.sleep(reply.delay)
                if reply.wire is not None:
                    writer.write(len(reply.wire).to_bytes(2) + reply.wire)
                    await writer.drain()
        except (asyncio.IncompleteReadError, TimeoutError, OSError):
            pass  # the client is done or gone, and owes us no reason
        except Exception:
            log.exception("connection from %s", peer[0])
        finally:
            writer.close()


def _socket(host: str, port: int, kind: socket.SocketKind) -> socket.socket:
    bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, kind)
    bound.setblocking(False)
    if bound.family == socket.AF_INET6:
        bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    if kind == socket.SOCK_STREAM:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind((host, port))
    return bound

"""The sockets: UDP and TCP on port 53 of every address, and what happens to a query between arrival and answer."""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype

from siplab_dns.faults import Fault, FaultBook
from siplab_dns.zones import Zones

log = logging.getLogger("siplab_dns")

_UDP_PLAIN = 512  # RFC 1035 §4.2.1
_UDP_EDNS = 1232  # fits the IPv6 minimum MTU
_TCP_MAX = 65535
_TCP_IDLE = 30.0  # seconds
_CACHE = 4096  # answers
_HISTORY = 10000  # queries
_HEADER = 12


@dataclass(frozen=True)
class Seen:
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


class Answerer:
    """Wire in, wire out."""

    def __init__(self, zones: Zones) -> None:
        self.faults = FaultBook()
        self.queries: deque[Seen] = deque(maxlen=_HISTORY)
        self._zones = zones
        self._cache: dict[tuple[bool, int | None, bytes], bytes] = {}
        self._count = 0

    def forget(self) -> None:
        """Back to the state of a fresh start."""
        self.faults.clear()
        self.queries.clear()

    def since(self, seq: int, limit: int) -> list[dict[str, Any]]:
        """Queries after number `seq`, the oldest first, at most `limit`."""
        return [asdict(seen) for seen in self.queries if seen.seq > seq][:limit]

    async def respond(self, wire: bytes, tcp: bool, client: tuple[str, int]) -> bytes | None:
        """The bytes to send back, or None for silence. A datagram that is no query never raises."""
        query = _parse(wire)
        if query is None:
            return _format_error(wire)
        question = query.question[0] if query.question else None
        struck = self.faults.take(question.name, question.rdtype) if self.faults and question is not None else None
        sent = await self._answer(wire, query, tcp, self._zones.view(client[0]), struck[1] if struck else None)
        self._count += 1
        self.queries.append(
            Seen(
                seq=self._count,
                t=time.time(),
                transport="tcp" if tcp else "udp",
                client=client[0],
                port=client[1],
                name=question.name.to_text(omit_final_dot=True) if question is not None else "",
                type=dns.rdatatype.to_text(question.rdtype) if question is not None else "",
                rcode=dns.rcode.to_text(dns.rcode.Rcode(sent[3] & 15)) if sent else None,
                fault=struck[0] if struck else None,
            )
        )
        return sent

    async def _answer(self, wire: bytes, query: dns.message.Message, tcp: bool, view: int | None, fault: Fault | None) -> bytes | None:
        if fault is None:
            return self._right(wire, query, tcp, view)
        if fault.kind == "drop":
            return None
        if fault.kind == "delay":
            await asyncio.sleep(fault.seconds)
            return self._right(wire, query, tcp, view)
        if fault.kind == "wrong-id":
            right = self._right(wire, query, tcp, view)
            return struct.pack("!H", query.id ^ 0xFFFF) + right[2:]
        if fault.kind == "truncate" and tcp:
            return self._right(wire, query, tcp, view)
        return _wire(_lie(query, fault), query, tcp)

    def _right(self, wire: bytes, query: dns.message.Message, tcp: bool, view: int | None) -> bytes:
        """The right answer. All but the id depends on the query's bytes and the asker's network alone, unless a fault is in force."""
        if self.faults:
            response = self._zones.answer(query, view)
            response.additional = [rrset for rrset in response.additional if not self.faults.strikes(rrset.name, rrset.rdtype)]
            return _wire(response, query, tcp)
        key = (tcp, view, wire[2:])
        known = self._cache.get(key)
        if known is None:
            known = _wire(self._zones.answer(query, view), query, tcp)[2:]
            if len(self._cache) >= _CACHE:
                self._cache.clear()
            self._cache[key] = known
        return wire[:2] + known


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


def _lie(query: dns.message.Message, fault: Fault) -> dns.message.Message:
    response = dns.message.make_response(query, our_payload=_UDP_EDNS)
    if fault.kind == "servfail":
        response.set_rcode(dns.rcode.SERVFAIL)
        return response
    response.flags |= dns.flags.AA
    if fault.kind == "nxdomain":
        response.set_rcode(dns.rcode.NXDOMAIN)
    if fault.kind == "truncate":
        response.flags |= dns.flags.TC
    response.answer.extend(fault.records)
    return response


def _wire(response: dns.message.Message, query: dns.message.Message, tcp: bool) -> bytes:
    """RFC 2181 §9: what is too long for UDP loses whole record sets, and says so if it is of the answer."""
    limit = _TCP_MAX if tcp else min(_UDP_EDNS, max(_UDP_PLAIN, query.payload)) if query.edns >= 0 else _UDP_PLAIN
    return response.to_wire(max_size=limit, prefer_truncation=True)


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, answerer: Answerer, tasks: set[asyncio.Task[None]]) -> None:
        self._answerer = answerer
        self._tasks = tasks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        task = asyncio.ensure_future(self._reply(data, addr))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _reply(self, data: bytes, addr: tuple[Any, ...]) -> None:
        try:
            sent = await self._answerer.respond(data, False, addr[:2])
        except Exception:
            log.exception("query from %s: %s", addr[0], data.hex())  # our bug, and no reason to stop serving
            return
        if sent is not None:
            self._transport.sendto(sent, addr)


class Server:
    """Binds everything, or nothing."""

    def __init__(self, answerer: Answerer, port: int = 53, hosts: tuple[str, ...] = ("0.0.0.0", "::")) -> None:  # noqa: S104  sealed network
        self._answerer = answerer
        self._port = port
        self._hosts = hosts
        self._tasks: set[asyncio.Task[None]] = set()
        self._closers: list[Callable[[], None]] = []

    async def start(self) -> int:
        """Open the sockets; from here on queries are answered. Returns the port (chosen by the kernel where 0 was asked)."""
        loop = asyncio.get_running_loop()
        for host in self._hosts:
            udp = _socket(host, self._port, socket.SOCK_DGRAM)
            self._port = udp.getsockname()[1]
            transport, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(self._answerer, self._tasks), sock=udp)
            self._closers.append(transport.close)
            tcp = await asyncio.start_server(self._stream, sock=_socket(host, self._port, socket.SOCK_STREAM))
            self._closers.append(tcp.close)
        return self._port

    def close(self) -> None:
        """Close the sockets."""
        for closer in self._closers:
            closer()
        for task in self._tasks:
            task.cancel()

    async def _stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """RFC 7766: queries one after the other, until the client has had enough."""
        peer = writer.get_extra_info("peername")
        try:
            while True:
                size = int.from_bytes(await asyncio.wait_for(reader.readexactly(2), _TCP_IDLE))
                wire = await asyncio.wait_for(reader.readexactly(size), _TCP_IDLE)
                sent = await self._answerer.respond(wire, True, peer[:2])
                if sent is not None:
                    writer.write(len(sent).to_bytes(2) + sent)
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

"""All sockets of one user agent: listeners, and connections to whom it dials."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from .fault import TransportError
from .flow import Address, DatagramSocket, Flow, Received, StreamFlow
from .tls import TlsFiles, check_peer, client_context, server_context

PORTS = {"udp": 5060, "tcp": 5060, "tls": 5061}
CONNECT_WITHIN = 5.0
MAX_STREAMS = 256
"""Connections that others have to us, at most: a descriptor each."""


@dataclass(frozen=True)
class Hop:
    """Where a request goes next: `domain` is whom TLS must find there (RFC 5922 §7.3)."""

    transport: str
    address: Address
    domain: str


class Transports:
    """Listens on its addresses (at most one of each family): UDP, TCP and, with a certificate, TLS.

    Connections are reused as long as they live (RFC 5923).
    """

    def __init__(self, hosts: Sequence[str], files: TlsFiles, received: Received, complain: Callable[[str], None]) -> None:
        self._hosts = {_family(host): host for host in hosts}
        self.verify = True
        self._files = files
        self._received = received
        self._complain = complain
        self._datagrams: dict[int, DatagramSocket] = {}
        self._servers: list[asyncio.Server] = []
        self._streams: list[StreamFlow] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def listen(self) -> None:
        """Open all listeners. OSError where an address is taken."""
        loop = asyncio.get_running_loop()
        for family, host in self._hosts.items():
            local = (host, PORTS["udp"])
            made = partial(DatagramSocket, local, self._received)
            _, self._datagrams[family] = await loop.create_datagram_endpoint(made, local_addr=local)
            self._servers.append(await asyncio.start_server(self._accepted("tcp"), host, PORTS["tcp"]))
            if self._files.certificate:
                context = server_context(self._files)
                self._servers.append(await asyncio.start_server(self._accepted("tls"), host, PORTS["tls"], ssl=context))

    def _accepted(self, transport: str) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], None]:
        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if len(self._streams) >= MAX_STREAMS or writer.get_extra_info("peername") is None:  # too many, or gone already
                writer.transport.abort()
                return
            self._adopt(StreamFlow(writer, transport, self._received), reader)

        return accept

    def _adopt(self, flow: StreamFlow, reader: asyncio.StreamReader) -> None:
        self._streams.append(flow)
        flow.on_close.append(self._streams.remove)
        task = asyncio.get_running_loop().create_task(flow.read(reader, self._complain))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def reach(self, hop: Hop) -> Flow:
        """A flow to `hop`, an existing connection where there is one. TransportError says why there is none."""
        family = _family(hop.address[0])
        if family not in self._hosts:
            raise TransportError(f"{hop.transport} {hop.address[0]}: we have no IPv{family} address")
        if hop.transport == "udp":
            if family not in self._datagrams:
                raise TransportError("not listening")
            return self._datagrams[family].flow(hop.address)
        for flow in self._streams:
            if flow.alive and (flow.transport, flow.peer) == (hop.transport, hop.address) and self._is(flow, hop):
                return flow
        return await self._connect(hop)

    def _is(self, flow: StreamFlow, hop: Hop) -> bool:
        """Who was found at the other end is whom we look for now, too (RFC 5923 §8.2): by certificate, or where we dial it, by address."""
        if flow.transport != "tls" or not self.verify or hop.domain == hop.address[0]:
            return True
        try:
            check_peer(flow.writer.get_extra_info("peercert") or {}, hop.domain)
        except TransportError:
            return False
        return True

    async def _connect(self, hop: Hop) -> StreamFlow:
        where = f"{hop.transport} {hop.address[0]}:{hop.address[1]}"
        secure = client_context(self._files, verify=self.verify) if hop.transport == "tls" else None
        name = hop.domain if secure else None
        local = (self._hosts[_family(hop.address[0])], 0)
        try:
            async with asyncio.timeout(CONNECT_WITHIN):
                reader, writer = await asyncio.open_connection(*hop.address, ssl=secure, server_hostname=name, local_addr=local)
        except (OSError, ssl.SSLError, TimeoutError) as error:
            raise TransportError(f"{where}: {error or type(error).__name__}") from error
        if secure and self.verify:
            try:
                check_peer(writer.get_extra_info("peercert") or {}, hop.domain)
            except TransportError:
                writer.close()
                raise
        flow = StreamFlow(writer, hop.transport, self._received)
        self._adopt(flow, reader)
        return flow

    def drop_connections(self) -> None:
        """Close every connection, so that the next request dials anew."""
        for flow in list(self._streams):
            flow.close()

    async def close(self) -> None:
        """Close everything."""
        self.drop_connections()
        for server in self._servers:
            server.close()
        for datagrams in self._datagrams.values():
            if datagrams.transport:
                datagrams.transport.close()


def _family(host: str) -> int:
    return 6 if ":" in host else 4

"""Flows through two outbound proxies: registered, kept alive, noticed when they fail, and formed anew (RFC 5626 §4)."""

from __future__ import annotations

import asyncio
import contextlib
from types import SimpleNamespace
from typing import Any

import pytest
from sip_pair import Diary, Side, own_net, run, until
from sipmessage import URI

from lab.sip import outbound
from lab.sip.framing import StreamFramer
from lab.sip.message import parse, respond, serialize

HOST, *EDGES = (f"{own_net()}.{number}" for number in (1, 2, 3))
INSTANCE = "urn:uuid:00000000-0000-4000-8000-000000000001"


class Edge:
    """An edge proxy with its registrar, over UDP and TCP: answers keep-alives unless it is `deaf`."""

    def __init__(self, host: str, *, knows_flows: bool = True) -> None:
        self.host, self.knows_flows, self.deaf = host, knows_flows, False
        self.port, self.grants = 40000, 300
        self.contacts: list[str] = []
        self.pings = 0
        self.writers: list[asyncio.StreamWriter] = []

    def take(self, data: bytes) -> bytes:
        if data[:2] == b"\x00\x01" or data == b"\r\n\r\n":
            self.pings += 1
            if self.deaf:
                return b""
            return self.binding(data[4:20]) if data[:1] == b"\x00" else b"\r\n"
        request = parse(data)
        self.contacts.append(request.headers.get("Contact") or "")
        response = respond(request, 200)  # type: ignore[arg-type]
        mine = self.contacts[-1].replace("expires=300", f"expires={self.grants}")
        other = mine.replace(f"expires={self.grants}", "expires=7000").replace("reg-id=", "reg-id=1")
        response.headers.set("Contact", f"{other}, {mine}, {other}")
        if self.knows_flows:
            response.headers.set("Require", "outbound")
            response.headers.set("Flow-Timer", "1")
        return serialize(response)

    def binding(self, name: bytes) -> bytes:
        """A success response that says from which port the request came (RFC 8489 §14.2)."""
        port = (self.port ^ 0x2112).to_bytes(2, "big")
        return (
            b"\x01\x01"
            + (20).to_bytes(2, "big")
            + name
            + b"\x80\x22\x00\x02ab\0\0"
            + b"\x00\x20\x00\x08\x00\x01"
            + port
            + b"\x5e\x12\xa4\x43"
        )

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        framer = StreamFramer()
        self.writers.append(writer)
        while data := await reader.read(65536):
            for piece in [data] if data == b"\r\n\r\n" else framer.feed(data):
                writer.write(self.take(piece))

    @contextlib.asynccontextmanager
    async def up(self) -> Any:
        edge = self

        class Datagrams(asyncio.DatagramProtocol):
            def connection_made(self, transport: Any) -> None:
                self.transport = transport

            def datagram_received(self, data: bytes, addr: Any) -> None:
                self.transport.sendto(edge.take(data), addr)

        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Datagrams, local_addr=(self.host, 5060))
        server = await asyncio.start_server(self.serve, self.host, 5060)
        try:
            yield self
        finally:
            transport.close()
            server.close()


def side(transport: str) -> Side:
    flows = tuple(URI.parse(f"sip:{edge}:5060;transport={transport}") for edge in EDGES)
    return Side("bob", transport, "rtp", HOST, EDGES[0], flows=flows, instance=INSTANCE)


def play(transport: str, script: Any, *, knows_flows: bool = True, wrong: bool = False) -> None:
    async def work() -> None:
        one, two = (Edge(host, knows_flows=knows_flows) for host in EDGES)
        bob = side(transport)
        async with one.up(), two.up():
            await bob.ua.start()
            try:
                if wrong:
                    bob.ua.misbehave("no-keep-alive")
                bob.ua.register(bob.account, 300)
                for flow in (1, 2):
                    await bob.diary.wait("registration", "registered", 200, flow)
                await script(bob, one, two)
            finally:
                await bob.ua.close()

    run(work)


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbound, "PONG_WITHIN", 0.2)
    monkeypatch.setattr(outbound, "BASE_ALONE", 0.1)
    monkeypatch.setattr(outbound, "BASE_OTHERS", 0.1)


async def failed(diary: Diary, flow: int) -> str:
    return str((await diary.wait("registration", "failed", None, flow))[4])


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_one_instance_registers_a_flow_through_each_proxy_and_keeps_them(transport: str) -> None:
    async def script(bob: Side, one: Edge, two: Edge) -> None:
        for edge, number in ((one, 1), (two, 2)):
            assert edge.contacts[0].endswith(f';expires=300;+sip.instance="<{INSTANCE}>";reg-id={number}')
            assert ";ob" not in edge.contacts[0]
        await until(lambda: one.pings > 1 and two.pings > 1)
        assert len(one.contacts) == len(two.contacts) == 1
        assert str(bob.account.contact.uri).endswith(";ob")

    play(transport, script)


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_flow_that_answers_no_more_is_noticed_and_formed_anew(transport: str) -> None:
    async def script(bob: Side, one: Edge, two: Edge) -> None:
        two.deaf = True
        assert await failed(bob.diary, 2) == "flow failed: no answer to its keep-alives"
        await until(lambda: len(two.contacts) > 1)
        assert "reg-id=2" in two.contacts[1]
        assert len(one.contacts) == 1

    play(transport, script)


def test_another_address_is_another_flow() -> None:
    async def script(bob: Side, one: Edge, two: Edge) -> None:
        await until(lambda: one.pings > 0 and two.pings > 0)
        two.port = 40001
        assert await failed(bob.diary, 2) == "flow failed: its address has changed"
        await until(lambda: len(two.contacts) > 1)

    play("udp", script)


def test_who_keeps_nothing_alive_notices_nothing() -> None:
    async def script(bob: Side, one: Edge, two: Edge) -> None:
        await asyncio.sleep(1.2)
        assert one.pings == two.pings == 0

    play("udp", script, wrong=True)


def test_a_connection_that_is_closed_is_noticed_at_once() -> None:
    async def script(bob: Side, one: Edge, two: Edge) -> None:
        await until(lambda: one.pings > 0)
        one.writers[0].close()
        assert await failed(bob.diary, 1) == "flow failed: its connection was closed"
        await until(lambda: len(one.contacts) > 1)

    play("tcp", script)


def test_who_renumbers_forms_another_flow_than_the_one_that_failed() -> None:
    async def script(bob: Side, one: Edge, two: Edge) -> None:
        bob.ua.misbehave("renumber-flows")
        await until(lambda: one.pings > 0)
        one.writers[0].close()
        await until(lambda: len(one.contacts) > 1)
        assert "reg-id=3" in one.contacts[1]

    play("tcp", script)


def test_a_registrar_that_knows_no_flows_leaves_nothing_to_keep() -> None:
    async def script(bob: Side, one: Edge, two: Edge) -> None:
        await asyncio.sleep(0.1)
        assert one.pings == two.pings == 0

    play("udp", script, knows_flows=False)


def test_a_binding_is_renewed_in_the_time_that_the_registrar_grants() -> None:
    """RFC 3261 §10.2.4: of several bindings, our own; not in the time that we asked for."""
    granted = []

    async def script(bob: Side, one: Edge, two: Edge) -> None:
        one.grants = two.grants = 2
        bob.ua.listener.registration = lambda account, state, code, reason, expires, flow: granted.append(expires)
        bob.ua.register(bob.account, 300)
        await until(lambda: len(one.contacts) >= 3)
        assert set(granted) == {2}

    play("udp", script)


def test_bindings_are_taken_back_on_every_flow_and_none_is_kept_after_that() -> None:
    async def script(bob: Side, one: Edge, two: Edge) -> None:
        bob.ua.register(bob.account, 0)
        for flow in (1, 2):
            await bob.diary.wait("registration", "unregistered", 200, flow)
        assert "expires=0" in one.contacts[1]
        assert "expires=0" in two.contacts[1]
        before = one.pings
        bob.ua.drop(bob.account)
        await asyncio.sleep(0.1)
        assert one.pings == before

    play("udp", script)


def test_a_flow_that_is_let_go_as_its_keep_alive_is_answered_stays_let_go() -> None:
    """`asyncio.wait_for` of Python 3.11 forgets that it was cancelled where its work is done in the same turn of the loop."""

    async def work() -> None:
        answered = asyncio.get_running_loop().create_future()
        flow = SimpleNamespace(alive=True, reliable=True, ping=lambda: answered)
        keeper = asyncio.create_task(outbound.Registration(None, None, None, 1)._answer(flow))  # type: ignore[arg-type]
        await asyncio.sleep(0)
        answered.set_result(b"")
        keeper.cancel()
        with pytest.raises(asyncio.CancelledError):
            await keeper

    run(work)

"""Bytes past parser and transactions: sent as they are, and what comes back handed on as it is."""

from __future__ import annotations

import asyncio

import pytest
from sip_pair import Diary, pair, run
from sipmessage import URI

from lab.sip.fault import TransportError
from lab.sip.tls import TlsFiles
from lab.sip.user_agent import Settings, UserAgent

NONSENSE = b"INVITE sip:bob SIP/7.0\r\nThis is no header\r\n\r\n\xff\x00"
OPTIONS = "OPTIONS sip:bob@x SIP/2.0\r\nVia: SIP/2.0/{} {};branch=z9hG4bKraw;rport\r\nFrom: <sip:a@x>;tag=1\r\nTo: <sip:bob@x>\r\n"
REST = "Call-ID: raw\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_what_is_no_message_goes_out_and_an_answer_comes_back(transport):
    async def script():
        async with pair(transport) as (alice, bob):
            got: asyncio.Queue[bytes] = asyncio.Queue()
            target = URI.parse(f"sip:{bob.account.host}:5060;transport={transport}")
            channel = alice.ua.raw(target, got.put_nowait, lambda _: None)
            local = f"{channel.local[0]}:{channel.local[1]}"
            channel.send((OPTIONS.format(transport.upper(), local) + REST).encode())
            answer = await asyncio.wait_for(got.get(), 5)
            assert answer.startswith(b"SIP/2.0 200 OK\r\n")
            channel.send(NONSENSE)
            await bob.diary.wait("trouble")

    run(script)


def test_a_port_where_nobody_listens_and_a_name_that_does_not_exist_close_it_with_the_reason():
    async def script():
        async with pair() as (alice, _):
            for target in (f"sip:{alice.account.host}:9;transport=tcp", "sip:nowhere.example:5060;transport=tcp"):
                told: asyncio.Queue[str] = asyncio.Queue()
                alice.ua.raw(URI.parse(target), lambda _: None, told.put_nowait).send(b"x")
                assert await asyncio.wait_for(told.get(), 10)

    run(script)


@pytest.mark.parametrize(
    ("ours", "target"), [("127.0.0.1", "pa.example"), ("::1", "pa.example"), ("::1", "[::1]"), ("127.0.0.1", "127.0.0.2")]
)
def test_a_name_is_dialled_from_the_address_that_there_is(ours, target):
    async def script():
        ua = UserAgent(Settings((ours,), (), (40000, 40010), 440, TlsFiles()), Diary())
        channel = ua.raw(URI.parse(f"sip:{target}:5060;transport=udp"), lambda _: None, lambda _: None)
        assert channel.local[0] == ours
        await ua.close()

    run(script)


def test_an_address_of_the_other_family_is_refused():
    async def script():
        ua = UserAgent(Settings(("::1",), (), (40000, 40010), 440, TlsFiles()), Diary())
        with pytest.raises(TransportError, match="no IPv4 address"):
            ua.raw(URI.parse("sip:127.0.0.1:5060;transport=udp"), lambda _: None, lambda _: None)

    run(script)


def test_the_other_side_closing_ends_it():
    async def script():
        async with pair("tcp") as (alice, bob):
            told: asyncio.Queue[str] = asyncio.Queue()
            alice.ua.raw(URI.parse(f"sip:{bob.account.host}:5060;transport=tcp"), lambda _: None, told.put_nowait).send(NONSENSE)
            await bob.diary.wait("trouble")
            assert await asyncio.wait_for(told.get(), 5) == "closed"

    run(script)

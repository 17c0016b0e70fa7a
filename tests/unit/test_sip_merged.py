"""Merged requests (RFC 3261 §8.2.2.2): what a fork brings to the same user agent by two ways is served once."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from sip_pair import Side, pair, run, until
from sipmessage import URI, Request, Response

from lab.sip.message import parse, respond, serialize, set_body


async def by_another_way(side: Side, request: Request, user: str = "bob") -> Response:
    """The final response to the same request on another branch, perhaps to another user."""
    copy = parse(serialize(request))
    assert isinstance(copy, Request)
    copy.uri = URI(scheme="sip", user=user, host=request.uri.host)
    return await side.ua.dispatch.submit(copy, side.account, side.account.hop)


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_an_invite_that_comes_by_two_ways_rings_once(transport):
    async def script():
        async with pair(transport) as (alice, bob):
            alice.dial(bob)
            await bob.diary.wait("incoming")
            first = bob.requests("INVITE")[0]
            merged = await by_another_way(alice, first)
            assert (merged.code, merged.phrase, "tag" in merged.to_address.parameters) == (482, "Loop Detected", True)
            bob.diary.calls[0].respond(200)
            await alice.diary.wait("established")
            assert (await by_another_way(alice, first)).code == 482, "answered, and at work still (RFC 6026 §8.7)"
            assert len(bob.diary.calls) == len(bob.ua.calls) == 1

    run(script)


def test_a_retransmission_is_no_merged_request():
    """It has the branch of the first, and gets its last response again (RFC 3261 §17.2.1)."""

    async def script():
        async with pair() as (alice, bob):
            call = alice.dial(bob)
            await bob.diary.wait("incoming")
            bob.diary.calls[0].respond(180)
            await alice.diary.wait("ringing")
            assert call.outgoing
            assert call.outgoing.transaction
            call.outgoing.transaction.transmit("request")
            await until(lambda: len(alice.responses(180)) == 2)
            assert not alice.responses(482)

    run(script)


def test_each_account_is_a_uas_of_its_own():
    """A fork to two of them, which have nothing but a process in common, rings at both."""

    async def script():
        async with pair() as (alice, bob):
            bob.ua.accounts.append(replace(bob.account, aor=URI(scheme="sip", user="carol", host=bob.account.host)))
            alice.dial(bob)
            await bob.diary.wait("incoming")
            other = asyncio.create_task(by_another_way(alice, bob.requests("INVITE")[0], "carol"))
            await until(lambda: len(bob.diary.calls) == 2)
            bob.diary.calls[1].respond(603)
            assert (await other).code == 603
            bob.diary.calls[0].respond(200)
            await alice.diary.wait("established")

    run(script)


def test_the_same_number_in_another_call_or_after_a_challenge_is_no_merged_request():
    """Call-ID, From tag and CSeq have to be the same, all of them; a request is numbered anew when it has credentials (RFC 3261 §22.2)."""

    async def script():
        async with pair() as (alice, bob):
            for _ in range(2):
                assert (await alice.ua.message(alice.account, bob.account.aor, "hello", "text/plain")).code == 200
            first = bob.requests("MESSAGE")[0]
            assert (await by_another_way(alice, first)).code == 482, "over UDP a response is kept for repetitions"
            again = parse(serialize(first))
            assert isinstance(again, Request)
            again.cseq = type(first.cseq)(sequence=2, method="MESSAGE")
            assert (await by_another_way(alice, again)).code == 200
            assert [entry[0] for entry in bob.diary.entries] == ["message"] * 3

    run(script)


def test_what_is_over_is_no_longer_at_work():
    """64*T1 after its response a request can come again: nobody remembers the first (RFC 3261 §17.2.2)."""

    async def script():
        async with pair() as (alice, bob):
            bob.hasten(0.002)
            await alice.ua.message(alice.account, bob.account.aor, "hello", "text/plain")
            first = bob.requests("MESSAGE")[0]
            await until(lambda: not bob.ua.exchange._servers)
            assert (await by_another_way(alice, first)).code == 200
            assert len(bob.ua.exchange._firsts) == 1

    run(script)


def test_a_request_within_a_dialog_is_judged_by_its_number_there():
    """The rule is for requests without a To tag; this one is out of order (RFC 3261 §12.2.2)."""

    async def script():
        async with pair() as (alice, bob):
            call = alice.dial(bob)
            await bob.answer()
            await alice.diary.wait("established")
            info = call.dialog.request("INFO")
            set_body(info, "text/plain", b"x")
            assert (await call.send(info)).code == 200
            assert (await call.send(info)).code == respond(info, 500).code

    run(script)

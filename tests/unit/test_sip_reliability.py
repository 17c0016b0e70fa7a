"""Reliable provisional responses between two user agents (RFC 3262)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from sip_pair import RELIABLE, Side, established, incoming, pair, ringing, run, until

from lab.sip.call import Call
from lab.sip.message import respond, tag_of


@pytest.mark.parametrize("delayed", [False, True])
@pytest.mark.parametrize("who", ["caller", "callee"])
def test_ringing_is_acknowledged_and_carries_the_description(who, delayed):
    """Whoever requires it; then neither 200 nor ACK has one (RFC 3262 §5)."""

    async def script():
        async with pair(alice_is=RELIABLE if who == "caller" else {}, bob_is=RELIABLE if who == "callee" else {}) as (alice, bob):
            call, leg = await ringing(alice, bob, delayed=delayed)
            leg.respond(200)
            await alice.diary.wait("established")
            await bob.diary.wait("established")
            (provisional,), (answer,) = alice.responses(180), alice.responses(200)
            (prack,), (ack,) = bob.requests("PRACK"), bob.requests("ACK")
            assert provisional.body
            assert bool(prack.body) is delayed
            assert not answer.body
            assert not ack.body
            assert prack.headers.get("RAck") == f"{provisional.headers.get('RSeq')} {provisional.cseq.sequence} INVITE"
            for side in (alice, bob):
                assert await side.diary.sound()
            call.hang_up()
            await bob.diary.wait("terminated", 200)

    run(script)


@asynccontextmanager
async def unacknowledged(t1: float) -> AsyncIterator[tuple[Side, Side, Call]]:
    """alice sends no PRACK for the 180 of bob, whose leg it is and who repeats it after `t1` seconds."""
    async with pair(bob_is=RELIABLE) as (alice, bob):
        bob.hasten(t1)
        alice.ua.misbehave("no-prack")
        _, leg = await incoming(alice, bob)
        leg.respond(180)
        yield alice, bob, leg


def test_reliable_ringing_is_repeated_without_a_prack_and_the_call_refused_in_the_end():
    async def script():
        async with unacknowledged(0.01) as (alice, bob, leg):
            leg.respond(200)
            await alice.diary.wait("terminated", 504)
            assert len(alice.responses(180)) >= 5
            assert not alice.responses(200)
            assert not bob.requests("PRACK")

    run(script)


def test_a_caller_without_100rel_is_told_that_it_is_required():
    async def script():
        async with pair(bob_is=RELIABLE) as (alice, bob):
            call = alice.ua.call(alice.account, bob.account.aor)
            request = call.dialog.request("INVITE")
            response = await alice.ua.dispatch.submit(request, alice.account, alice.account.hop)
            assert (response.code, response.require) == (421, ["100rel"])
            call.tell("terminated")

    run(script)


def test_an_unknown_requirement_is_420_and_named():
    async def script():
        async with pair() as (alice, bob):
            request = alice.ua.out_of_dialog("OPTIONS", alice.account, bob.account.aor, bob.account.aor)
            request.require = ["nonsense", "100rel"]
            response = await alice.ua.dispatch.submit(request, alice.account, alice.account.hop)
            assert (response.code, response.headers.get("Unsupported")) == (420, "nonsense")

    run(script)


def test_a_prack_that_acknowledges_nothing_is_481():
    async def script():
        async with pair() as (alice, bob):
            call, _ = await established(alice, bob)
            request = call.dialog.request("PRACK")
            request.headers.set("RAck", "1 1 INVITE")
            response = await alice.ua.dispatch.submit(request, alice.account, call.dialog.next_hop)
            assert response.code == 481

    run(script)


def test_ignore_100rel_rings_as_if_nobody_had_asked():
    async def script():
        async with pair(alice_is=RELIABLE) as (alice, bob):
            bob.ua.misbehave("ignore-100rel")
            await ringing(alice, bob)
            assert alice.responses(180)[0].headers.get("RSeq") is None
            assert not bob.requests("PRACK")

    run(script)


def test_after_a_reset_no_ringing_is_repeated():
    async def script():
        async with unacknowledged(0.02) as (alice, bob, _):
            await until(lambda: len(alice.responses(180)) >= 2)
            bob.ua.reset()
            await asyncio.sleep(0.05)  # what was sent before arrives
            arrived = len(alice.responses(180))
            await asyncio.sleep(0.3)
            assert len(alice.responses(180)) == arrived

    run(script)


def test_a_reliable_call_can_be_cancelled():
    async def script():
        async with pair(alice_is=RELIABLE) as (alice, bob):
            call, _ = await ringing(alice, bob)
            call.cancel()
            await alice.diary.wait("terminated", 487)

    run(script)


def test_the_2xx_of_another_branch_is_acknowledged_and_ended():
    """RFC 3261 §13.2.2.4: a fork may be answered twice."""

    async def script():
        async with pair() as (alice, bob):
            _, leg = await established(alice, bob)
            assert leg.incoming
            invite = leg.incoming.transaction
            other = respond(invite.request, 200, tag="another")
            other.contact = [leg.dialog.contact]
            for _ in range(2):
                invite.respond(other)
            await until(lambda: bob.requests("BYE"))
            (bye,) = bob.requests("BYE")
            assert tag_of(bye.to_address) == "another"
            assert [tag_of(ack.to_address) for ack in bob.requests("ACK")][1:] == ["another"]
            assert len(alice.ua.calls) == 1

    run(script)

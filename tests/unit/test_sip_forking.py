"""What a fork asks of a user agent: several answers, several challenges, early media of several; and what callees give one for tests."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from sip_pair import ELSEWHERE, Side, challenge, established, incoming, pair, run
from sipmessage import URI, Response

from lab.sip.account import Account
from lab.sip.digest import Challenge, Credentials, answer
from lab.sip.guard import Guard
from lab.sip.message import parse, respond, serialize, set_body, with_tag

GUARD = Guard("sales.example", Credentials("alice", "x"))


def second_2xx(side: Side) -> Response:
    """The 2xx that a side has received, as that of another branch."""
    again = parse(serialize(side.responses(200)[0]))
    assert isinstance(again, Response)
    again.to_address = with_tag(again.to_address, "other")
    return again


@pytest.mark.parametrize(("wrong", "acks", "byes"), [(False, {"other"}, {"other"}), (True, set(), set())])
def test_the_2xx_of_another_branch_is_acknowledged_and_ended(wrong, acks, byes):
    """RFC 3261 §13.2.2.4."""

    async def script():
        async with pair() as (alice, bob):
            if wrong:
                alice.ua.misbehave("one-dialog")
            call, _ = await established(alice, bob)
            alice.ua.exchange.receive(second_2xx(alice), alice.ua.exchange._clients[next(iter(alice.ua.exchange._clients))].flow)
            await asyncio.sleep(0.2)
            tags = {method: {m.to_address.parameters.get("tag") for m in bob.requests(method)} for method in ("ACK", "BYE")}
            mine = call.dialog.remote.parameters["tag"]
            assert (tags["ACK"] - {mine}, tags["BYE"]) == (acks, byes)
            assert call.established

    run(script)


@pytest.mark.parametrize(("wrong", "heard"), [(False, True), (True, False)])
def test_the_answer_counts_and_not_the_first_description(wrong, heard):
    """RFC 3261 §13.2.1: that of a 183 which nobody answered is forgotten."""

    async def script():
        async with pair() as (alice, bob):
            if wrong:
                alice.ua.misbehave("first-description")
            _, call = await incoming(alice, bob)
            progress = respond(call.incoming.transaction.request, 183, tag="elsewhere")
            set_body(progress, "application/sdp", ELSEWHERE)
            call.incoming.transaction.respond(progress)
            await alice.diary.wait("ringing", 183)
            call.respond(200)
            await bob.diary.wait("established")
            assert await bob.diary.sound() == heard

    run(script)


def test_early_media_is_a_183_with_the_answer_that_the_2xx_repeats():
    async def script():
        async with pair(bob_is={"early_media": True}) as (alice, bob):
            _, leg = await incoming(alice, bob)
            leg.respond(180)
            await alice.diary.wait("ringing", 183)
            leg.respond(200)
            await alice.diary.wait("established")
            assert alice.responses(183)[0].body == alice.responses(200)[0].body != b""
            assert await alice.diary.sound()
            assert await bob.diary.sound()

    run(script)


def test_a_callee_that_demands_credentials_lets_in_who_has_them():
    async def script():
        async with pair(bob_is={"guard": GUARD}) as (alice, bob):
            await established(alice, bob)
            assert len(bob.requests("INVITE")) == 2

    run(script)


def test_a_callee_that_demands_credentials_lets_in_nobody_else():
    async def script():
        async with pair(bob_is={"guard": replace(GUARD, credentials=Credentials("alice", "y"))}) as (alice, bob):
            alice.dial(bob)
            await alice.diary.wait("terminated", 401)
            assert not bob.diary.calls

    run(script)


@pytest.mark.parametrize("change", [{"realm": "other"}, {"nonce": "other"}, {"username": "bob"}, {"response": "0"}, {"nc": "x"}])
def test_credentials_for_another_realm_or_nonce_open_nothing(change):
    async def script():
        async with pair() as (alice, bob):
            await incoming(alice, bob)
            request = bob.requests("INVITE")[0]
            asked = Challenge("Digest", {"realm": GUARD.realm, "nonce": GUARD.nonce, "qop": "auth", "algorithm": "MD5"})
            good = answer(asked, GUARD.credentials, "INVITE", str(request.uri))
            request.headers.setlist("Authorization", ['Digest realm="elsewhere"', "nonsense", str(good)])
            assert GUARD.objection(request, "t") is None
            bad = {**dict(good.parameters), **change}
            request.headers.set("Authorization", "Digest " + ", ".join(f'{name}="{value}"' for name, value in bad.items()))
            refusal = GUARD.objection(request, "t")
            assert refusal is not None
            assert refusal.code == 401

    run(script)


def test_one_realm_answers_one_challenge_of_several():
    async def script():
        async with pair() as (alice, bob):
            alice.ua.misbehave("one-realm")
            bob.follow(lambda request: [challenge(request, "one", "two")])
            alice.ua.register(alice.account, 60)
            await alice.diary.wait("registration", "failed", 401)
            assert [len(m.headers.getlist("Authorization")) for m in bob.requests("REGISTER")] == [0, 1]

    run(script)


def test_what_an_account_registers():
    """RFC 3261 §10.2.1, §20.10."""
    proxy = URI.parse("sip:127.0.0.2:5060;transport=udp")
    account = Account("a1", URI.parse("sip:bob@b.example"), Credentials("bob", "x"), proxy, "udp", "rtp", "127.0.0.1")
    assert str(account.binding(60)) == "<sip:bob@127.0.0.1:5060>;expires=60"
    assert str(replace(account, preference=0.25).binding(60)) == "<sip:bob@127.0.0.1:5060>;expires=60;q=0.25"
    assert str(replace(account, preference=1.0).binding(60)) == "<sip:bob@127.0.0.1:5060>;expires=60;q=1"
    elsewhere = replace(account, elsewhere=URI.parse("sip:carol@a.example"))
    assert str(elsewhere.binding(60)) == "<sip:carol@a.example>;expires=60"


def test_an_invite_has_the_hops_that_its_account_says():
    async def script():
        async with pair(alice_is={"max_forwards": 7}) as (alice, bob):
            await incoming(alice, bob)
            assert bob.requests("INVITE")[0].max_forwards == 7

    run(script)

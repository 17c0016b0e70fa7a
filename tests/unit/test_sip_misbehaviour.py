"""Misbehaviours: each shows on the wire, or on the other side."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import yaml
from sip_pair import challenge, established, incoming, pair, ringing, run

from lab.sip.message import branch_of, tag_of
from lab.sip.misbehaviour import NAMES

HERE = Path(__file__)


def test_every_misbehaviour_is_in_the_manifest_and_in_a_test():
    manifest = yaml.safe_load((HERE.parents[2] / "images/reference/vendor.yaml").read_text())
    assert set(manifest["misbehaviours"]) == set(NAMES)
    tests = "".join(path.read_text() for path in HERE.parent.glob("test_sip_*.py"))
    assert [name for name in NAMES if f'misbehave("{name}")' not in tests] == []


def test_drop_ack_leaves_the_callee_without_a_call():
    async def script():
        async with pair() as (alice, bob):
            alice.ua.misbehave("drop-ack")
            alice.dial(bob)
            await bob.answer()
            await alice.diary.wait("established")
            await asyncio.sleep(0.3)
            assert ("established", 200) not in bob.diary.entries

    run(script)


@pytest.mark.parametrize("media", ["sdes", "dtls"])
def test_plain_under_savp_is_not_heard(media):
    async def script():
        async with pair("udp", media) as (alice, bob):
            alice.ua.misbehave("plain-under-savp")
            await established(alice, bob)
            assert await alice.diary.sound()
            assert not await bob.diary.sound()

    run(script)


@pytest.mark.parametrize("liar", [0, 1])
def test_a_fingerprint_of_another_certificate_ends_the_call_and_nothing_is_heard(liar):
    """RFC 5763 §5: whoever begins the handshake."""

    async def script():
        async with pair("udp", "dtls") as sides:
            alice, bob = sides
            sides[liar].ua.misbehave("wrong-fingerprint")
            call, answered = await incoming(alice, bob)
            answered.respond(200)
            for side in sides:
                await side.diary.wait("terminated")
                assert not any(side.diary.pcm)
                assert not [entry for entry in side.diary.entries if entry[0] == "media"]
            assert (call.stream.sent, answered.stream.sent) == (0, 0)

    run(script)


def test_who_accepts_any_fingerprint_talks_to_a_liar():
    async def script():
        async with pair("udp", "dtls") as (alice, bob):
            alice.ua.misbehave("wrong-fingerprint")
            bob.ua.misbehave("accept-any-fingerprint")
            await established(alice, bob)
            assert await alice.diary.sound()
            assert await bob.diary.sound()

    run(script)


def test_ignore_cancel_rings_on():
    async def script():
        async with pair() as (alice, bob):
            bob.ua.misbehave("ignore-cancel")
            call, _ = await ringing(alice, bob)
            call.cancel()
            await asyncio.sleep(0.3)
            assert not [entry for entry in alice.diary.entries if entry[0] == "terminated"]

    run(script)


def test_an_unknown_misbehaviour_is_a_key_error():
    async def script():
        async with pair() as (alice, _):
            with pytest.raises(KeyError):
                alice.ua.misbehave("be-evil")

    run(script)


@pytest.mark.parametrize("delayed", [False, True])
def test_late_ack_acknowledges_the_third_2xx(delayed):
    async def script():
        async with pair() as (alice, bob):
            bob.hasten()
            alice.ua.misbehave("late-ack")
            await established(alice, bob, delayed=delayed)
            assert len(alice.responses(200)) == 3

    run(script)


def test_ack_without_answer_leaves_the_callee_without_media():
    async def script():
        async with pair() as (alice, bob):
            alice.ua.misbehave("ack-without-answer")
            alice.dial(bob, delayed=True)
            await bob.answer()
            await bob.diary.wait("terminated")
            assert [ack.body for ack in bob.requests("ACK")] == [b""]

    run(script)


def test_no_description_is_a_2xx_without_sdp():
    async def script():
        async with pair() as (alice, bob):
            bob.ua.misbehave("no-description")
            alice.dial(bob)
            await bob.answer()
            await alice.diary.wait("terminated")
            assert not alice.responses(200)[0].body

    run(script)


def test_wrong_tag_makes_another_dialog_of_the_2xx():
    async def script():
        async with pair() as (alice, bob):
            bob.ua.misbehave("wrong-tag")
            _, leg = await ringing(alice, bob)
            leg.respond(200)
            await alice.diary.wait("established")
            assert tag_of(alice.responses(180)[0].to_address) != tag_of(alice.responses(200)[0].to_address)

    run(script)


def test_reuse_branch_gives_every_request_the_same():
    async def script():
        async with pair() as (alice, bob):
            alice.ua.misbehave("reuse-branch")
            await established(alice, bob)
            assert len({branch_of(request) for request in (*bob.requests("INVITE"), *bob.requests("ACK"))}) == 1

    run(script)


def test_ignore_bye_lets_the_call_go_on():
    async def script():
        async with pair() as (alice, bob):
            bob.ua.misbehave("ignore-bye")
            call, _ = await established(alice, bob)
            call.hang_up()
            await alice.diary.wait("terminated", 200)
            assert len(bob.ua.calls) == 1

    run(script)


def test_talk_on_hold_says_sendonly_and_plays_on():
    async def script():
        async with pair() as (alice, bob):
            alice.ua.misbehave("talk-on-hold")
            call, _ = await established(alice, bob)
            call.hold(True)
            await bob.diary.wait("held")
            assert b"a=sendonly" in bob.requests("INVITE")[-1].body
            assert await bob.diary.sound()

    run(script)


def test_no_digits_sends_none():
    async def script():
        async with pair() as (alice, bob):
            alice.ua.misbehave("no-digits")
            call, _ = await established(alice, bob)
            call.press("1", "info")
            call.press("2", "rfc4733")
            assert call.stream._pending == ""
            await asyncio.sleep(0.2)
            assert not bob.requests("INFO")
            assert not [entry for entry in bob.diary.entries if entry[0] == "digit"]

    run(script)


def test_wrong_tone_is_another_than_its_own():
    async def script():
        async with pair() as (alice, bob):
            right = alice.ua.call(alice.account, bob.account.aor)
            alice.ua.misbehave("wrong-tone")
            wrong = alice.ua.call(alice.account, bob.account.aor)
            assert wrong.stream.hz != right.stream.hz == 440
            for call in (right, wrong):
                call.tell("terminated")

    run(script)


def test_never_answer_is_silence():
    async def script():
        async with pair() as (alice, bob):
            alice.hasten(0.01)
            bob.ua.misbehave("never-answer")
            alice.dial(bob)
            await alice.diary.wait("terminated")
            assert not alice.heard

    run(script)


@pytest.mark.parametrize(("wrong", "tries"), [(False, 2), (True, 1)])
def test_register_without_auth_answers_no_challenge(wrong, tries):
    async def script():
        async with pair() as (alice, bob):
            bob.follow(lambda request: [challenge(request, "r")])
            if wrong:
                alice.ua.misbehave("register-without-auth")
            alice.ua.register(alice.account, 60)
            await alice.diary.wait("registration", "failed", 401)
            assert len(bob.requests("REGISTER")) == tries

    run(script)


def test_accept_any_certificate_verifies_nobody():
    """What that lets through: test_sip_reach.py."""

    async def script():
        async with pair() as (alice, _):
            alice.ua.misbehave("accept-any-certificate")
            assert not alice.ua.transports.verify
            alice.ua.reset()
            assert alice.ua.transports.verify

    run(script)

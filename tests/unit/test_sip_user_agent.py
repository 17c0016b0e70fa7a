"""Two user agents on loopback addresses of their own, and nobody between them: calls, refusals, messages, misbehaviours."""

from __future__ import annotations

import asyncio
from itertools import permutations

import pytest
from sip_pair import challenge, established, incoming, pair, ringing, run
from sipmessage import URI

from lab.sip.fault import MessageError
from lab.sip.keying import Sdes
from lab.sip.message import tag_of
from lab.sip.transfer import ReferTo, Replaces


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize("media", ["rtp", "sdes", "dtls"])
@pytest.mark.parametrize("delayed", [False, True])
def test_a_call_is_heard_on_both_sides_and_ended(transport, media, delayed):
    async def script():
        async with pair(transport, media) as (alice, bob):
            call = alice.dial(bob, delayed=delayed)
            await bob.answer()
            for side in (alice, bob):
                await side.diary.wait("established")
                assert (await side.diary.wait("media"))[2] == media.replace("rtp", "none")
                assert await side.diary.sound()
            call.hang_up()
            await alice.diary.wait("terminated", 200)
            await bob.diary.wait("terminated", 200)
            assert not alice.ua.calls
            assert not bob.ua.calls

    run(script)


@pytest.mark.parametrize("media", ["rtp", "sdes", "dtls"])
def test_hold_silences_the_holder_and_resume_does_not(media):
    async def script():
        async with pair(media=media) as (alice, bob):
            call, _ = await established(alice, bob)
            call.hold(True)
            await alice.diary.wait("held")
            await bob.diary.wait("held")
            await asyncio.sleep(0.2)
            assert not await bob.diary.sound()
            call.hold(False)
            await bob.diary.wait("resumed")
            assert await bob.diary.sound()

    run(script)


@pytest.mark.parametrize("via", ["rfc4733", "info"])
def test_digits_arrive_once_and_in_order(via):
    async def script():
        async with pair() as (alice, bob):
            call, _ = await established(alice, bob)
            call.press("5#1", via)
            await bob.diary.wait("digit", "1", via)
            assert [entry[1] for entry in bob.diary.entries if entry[0] == "digit"] == ["5", "#", "1"]

    run(script)


def test_requests_of_a_dialog_are_numbered_on_after_challenges():
    """RFC 3261 §12.2.1.1: an answer to a challenge takes a number too, and the next request one beyond it."""

    async def script():
        async with pair() as (alice, bob):
            call, _ = await established(alice, bob)
            bob.follow(lambda request: None if request.headers.get("Authorization") else [challenge(request, "r")])
            call.press("12", "info")
            await bob.diary.wait("digit", "2")
            numbers = [request.cseq.sequence for request in bob.requests("INFO")]
            assert numbers == sorted(set(numbers))

    run(script)


@pytest.mark.parametrize("code", [404, 486, 603])
def test_a_refusal_arrives(code):
    async def script():
        async with pair() as (alice, bob):
            _, leg = await ringing(alice, bob)
            leg.respond(code)
            await alice.diary.wait("terminated", code)

    run(script)


def test_a_redirection_carries_the_contact_given():
    async def script():
        async with pair() as (alice, bob):
            call, leg = await incoming(alice, bob)
            leg.respond(302, contact="sip:carol@chicago.example")
            await alice.diary.wait("terminated", 302)
            assert call.outgoing.transaction.final.contact[0].uri == URI.parse("sip:carol@chicago.example")

    run(script)


def test_a_call_that_rings_is_cancelled():
    async def script():
        async with pair() as (alice, bob):
            call, _ = await ringing(alice, bob)
            call.cancel()
            await bob.diary.wait("terminated", 487)
            await alice.diary.wait("terminated", 487)

    run(script)


@pytest.mark.parametrize(("caller", "callee"), list(permutations(["rtp", "sdes", "dtls"], 2)))
def test_media_that_is_not_what_was_asked_for_is_488(caller, callee):
    async def script():
        async with pair("udp", caller, callee) as (alice, bob):
            alice.dial(bob)
            await alice.diary.wait("terminated", 488)
            assert not bob.diary.calls

    run(script)


def test_a_message_arrives_as_it_was():
    async def script():
        async with pair("tcp") as (alice, bob):
            text = "100 % <tags> & ümläuts"
            response = await alice.ua.message(alice.account, bob.account.aor, text, "text/plain")
            assert response.code == 200
            await bob.diary.wait("message", text)

    run(script)


def test_registration_with_someone_who_is_no_registrar_fails():
    async def script():
        async with pair() as (alice, _):
            alice.ua.register(alice.account, 60)
            await alice.diary.wait("registration", "failed", 405)

    run(script)


def test_an_answer_that_is_against_the_policy_ends_the_call_that_it_made():
    async def script():
        async with pair() as (alice, bob):
            call, leg = await incoming(alice, bob)
            call.negotiation._keying = Sdes()  # whatever comes now is not what was asked for
            leg.respond(200)
            reason = (await alice.diary.wait("terminated"))[0]
            assert reason == "terminated"
            await bob.diary.wait("terminated", 200)

    run(script)


def test_a_hold_that_is_refused_changes_nothing():
    async def script():
        async with pair() as (alice, bob):
            call, answered = await established(alice, bob)
            answered.negotiation._keying = Sdes()  # refuses the offer in clear: 488
            call.hold(True)
            await alice.diary.wait("trouble", "re-INVITE: 488 RTP/AVP where only RTP/SAVP is allowed")
            assert call.negotiation.direction == "sendrecv"
            assert await bob.diary.sound()

    run(script)


@pytest.mark.parametrize(("code", "outcome"), [(200, "done"), (486, "failed")])
def test_a_transfer_is_followed_and_its_outcome_told(code, outcome):
    """Blind, to the transferor himself: nobody else is here (RFC 3515 §4.1)."""

    async def script():
        async with pair() as (alice, bob):
            call, _ = await established(alice, bob)
            call.refer(alice.account.aor, None)
            await bob.diary.wait("transfer", "requested", None, str(alice.account.aor))
            await alice.diary.wait("transfer", "accepted", 202)
            await alice.diary.wait("incoming")
            alice.diary.calls[-1].respond(code)
            await alice.diary.wait("transfer", outcome, code)

    run(script)


def test_replaces_takes_the_place_of_a_call_and_an_unknown_one_is_481():
    """RFC 3891 §3."""

    async def script():
        async with pair() as (alice, bob):
            alice.dial(bob)
            old = await bob.answer()
            await bob.diary.wait("established")
            wanted = Replaces(old.dialog.call_id, tag_of(old.dialog.local), tag_of(old.dialog.remote))
            for replaces in (str(wanted), "nobody;to-tag=1;from-tag=2"):
                second = alice.ua.call(alice.account, bob.account.aor)
                second.replaces = replaces
                second.place(bob.account.aor, delayed=False)
                await bob.diary.wait("terminated", 200)
            await alice.diary.wait("terminated", 481)
            assert len(bob.ua.calls) == 1

    run(script)


def test_refer_to_survives_and_nonsense_is_an_error():
    to = ReferTo(URI.parse("sip:bob@biloxi.example"), "a@b;to-tag=1;from-tag=2")
    assert ReferTo.parse(str(to)) == to
    assert Replaces.parse(to.replaces or "") == Replaces("a@b", "1", "2")
    for wrong in ("", "<>", "<http://x>"):
        with pytest.raises(MessageError):
            ReferTo.parse(wrong)
    with pytest.raises(MessageError):
        Replaces.parse("a@b")

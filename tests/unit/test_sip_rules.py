"""Rules of dialogs and transactions that only show when something else goes wrong, or twice at a time."""

from __future__ import annotations

import asyncio

import pytest
from sip_pair import ELSEWHERE, RELIABLE, Side, answering, established, incoming, pair, ringing, run, until
from sipmessage import URI, Request, Response

from lab.sip.authentication import Protection
from lab.sip.digest import Credentials
from lab.sip.keying import Sdes
from lab.sip.message import respond, set_body, tag_of
from lab.sip.mwi import PACKAGE
from lab.sip.rtp import Packet
from lab.sip.sdp import Audio, Crypto
from lab.sip.srtp import SrtpPair, new_key


async def way(side: Side):
    return await side.ua.dispatch.flow(side.account.hop, side.account)


# -- RFC 3261 §13, §14 ----------------------------------------------------------------------------


def test_the_ack_of_an_earlier_invite_acknowledges_no_later_one():
    """RFC 3261 §13.2.2.4: it comes again with every 2xx that does, and may be late."""

    async def script():
        async with pair() as (alice, bob):
            call, leg = await established(alice, bob)
            (first,) = bob.requests("ACK")
            alice.ua.misbehave("drop-ack")
            request = call.dialog.request("INVITE")
            assert (await call.send(request)).code == 200
            bob.ua.exchange.receive(first, await way(bob))
            assert leg._acceptance is not None
            await asyncio.sleep(0.1)
            assert not alice.requests("BYE"), "an ACK without answer would have ended it"

    run(script)


def test_of_two_changes_the_second_waits_for_the_first():
    """RFC 3261 §14.1: one INVITE at a time in a dialog; and each says what it was asked for, also when it is tried again."""

    async def script():
        async with pair() as (alice, bob):
            call, _ = await established(alice, bob)
            bob.follow(answering("INVITE", 491))
            call.hold(True)
            call.hold(False)
            await alice.diary.wait("resumed", 200)
            assert [b"a=sendonly" in request.body for request in bob.requests("INVITE")[1:]] == [True, True, False]
            assert [entry[0] for entry in alice.diary.entries if entry[0] in ("held", "resumed")] == ["held", "resumed"]

    run(script)


@pytest.mark.parametrize("code", [408, 481, 0])
def test_a_dialog_that_the_other_side_does_not_know_is_ended_by_bye(code):
    """RFC 3261 §12.2.1.2: for 408 and 481, and where nobody answers."""

    async def script():
        async with pair() as (alice, bob):
            call, _ = await established(alice, bob)
            alice.hasten(0.005)
            bob.follow(answering("INVITE", code))
            call.hold(True)
            await alice.diary.wait("terminated", code or None)
            assert bob.requests("BYE")
            assert not bob.ua.calls

    run(script)


# -- RFC 3261 §9, §15 ----------------------------------------------------------------------------


def test_who_cancels_does_not_wait_for_ever():
    """RFC 3261 §9.1: 64*T1 after the CANCEL the INVITE is over without a final response."""

    async def script():
        async with pair() as (alice, bob):
            alice.hasten(0.005)
            bob.ua.misbehave("ignore-cancel")
            call, _ = await ringing(alice, bob)
            call.cancel()
            await alice.diary.wait("terminated", None)
            assert not alice.ua.calls
            assert not alice.ua.exchange._clients
            await until(lambda: not alice.ua._tasks)

    run(script)


def test_hanging_up_says_what_the_call_s_state_allows():
    """RFC 3261 §15: no BYE without a dialog, and the callee's not before the ACK."""

    async def script():
        async with pair() as (alice, bob):
            _, leg = await incoming(alice, bob)
            leg.hang_up()
            await alice.diary.wait("terminated", 480)
            call, _ = await incoming(alice, bob)
            call.hang_up()
            await alice.diary.wait("terminated", 487)
            assert not alice.requests("BYE") + bob.requests("BYE")
            _, leg = await incoming(alice, bob)
            leg.respond(200)
            leg.hang_up()
            await until(lambda: alice.requests("BYE"))
            assert len(bob.requests("ACK")) >= 3
            await until(lambda: not bob.ua.calls)

    run(script)


def test_the_answer_to_cancel_has_the_tag_of_the_invite_s():
    """RFC 3261 §9.2."""

    async def script():
        async with pair() as (alice, bob):
            call, _ = await ringing(alice, bob)
            call.cancel()
            await alice.diary.wait("terminated", 487)
            tags = {tag_of(m.to_address) for m in alice.responses(180) + alice.responses(487) + alice.responses(200, "CANCEL")}
            assert len(tags) == 1

    run(script)


# -- what Allow says ----------------------------------------------------------------------------


def test_options_and_message_are_allowed_within_a_dialog_and_405_says_what_is():
    """RFC 3261 §11.2, §21.4.6, RFC 3428 §7."""

    async def script():
        async with pair() as (alice, bob):
            call, _ = await established(alice, bob)
            options = await call.send(call.dialog.request("OPTIONS"))
            assert (options.code, options.headers.get("Accept")) == (200, "application/sdp")
            message = call.dialog.request("MESSAGE")
            set_body(message, "text/plain", b"hello")
            assert (await call.send(message)).code == 200
            await bob.diary.wait("message", "hello")
            publish = await call.send(call.dialog.request("PUBLISH"))
            assert (publish.code, "INVITE" in publish.headers.get("Allow", "")) == (405, True)
            subscription = alice.ua.subscribe(alice.account, bob.account.aor, PACKAGE, 60)
            subscription.start()
            await alice.diary.wait("notified", "active")
            wrong = await subscription._send(subscription.dialog.request("INFO"), subscription.dialog.next_hop)
            assert (wrong.code, "NOTIFY" in wrong.headers.get("Allow", "")) == (405, True)
            assert call.established

    run(script)


# -- forks ----------------------------------------------------------------------------


def test_a_branch_that_answered_reliably_need_not_say_it_again_in_its_2xx():
    """RFC 3262 §5: also where another branch was first."""

    async def script():
        async with pair(alice_is=RELIABLE) as (alice, bob):
            _, leg = await incoming(alice, bob)
            assert leg.incoming
            other = respond(leg.incoming.transaction.request, 183, tag="other")
            other.contact, other.require = [leg.dialog.contact], ["100rel"]
            other.headers.set("RSeq", "7")
            set_body(other, "application/sdp", ELSEWHERE)
            leg.incoming.transaction.respond(other)
            await alice.diary.wait("ringing", 183)
            leg.respond(180)
            await until(lambda: len(bob.requests("PRACK")) == 2)
            leg.respond(200)
            await bob.diary.wait("established")
            assert not alice.responses(200)[0].body
            await alice.diary.wait("established")
            assert await bob.diary.sound()

    run(script)


def test_the_requests_of_one_branch_are_not_numbered_after_those_of_another():
    """RFC 3261 §12.2.2: each dialog has its own sequence numbers."""

    async def script():
        async with pair() as (alice, bob):
            call, leg = await incoming(alice, bob)
            assert leg.incoming
            early = respond(leg.incoming.transaction.request, 180, tag="other")
            early.contact = [leg.dialog.contact]
            leg.incoming.transaction.respond(early)
            await alice.diary.wait("ringing")
            call.dialog.remote_sequence = 50
            leg.respond(200)
            await bob.diary.wait("established")
            assert (await leg.send(leg.dialog.request("OPTIONS"))).code == 200

    run(script)


def test_digits_that_nobody_agreed_to_are_told():
    """RFC 4733: otherwise they would wait without a word for ever."""

    async def script():
        async with pair(bob_is={"inband": True}) as (alice, bob):
            call, _ = await established(alice, bob)
            call.press("1", "rfc4733")
            entry = await alice.diary.wait("trouble")
            assert "no telephone-event" in entry[1]

    run(script)


# -- registrars, digest ----------------------------------------------------------------------------


def test_every_register_has_a_higher_number_also_after_one_that_nobody_answered():
    """RFC 3261 §10.2."""

    async def script():
        async with pair() as (alice, bob):
            alice.hasten(0.005)
            bob.follow(answering("REGISTER", 200, 0, 200))
            for state in ("registered", "failed", "registered"):
                known = len(alice.diary.entries)
                alice.ua.register(alice.account, 60)
                await until(lambda known=known: len(alice.diary.entries) > known)
                assert alice.diary.entries[-1][1] == state
            sent = {(request.call_id, request.cseq.sequence) for request in bob.requests("REGISTER")}
            assert {number for _, number in sent} == {1, 2, 3}
            assert len({call_id for call_id, _ in sent}) == 1

    run(script)


def challenged(realm: str, nonce: str, **more: str) -> Response:
    response = Response(code=407, phrase="")
    response.headers.add(
        "Proxy-Authenticate", f'Digest realm="{realm}", nonce="{nonce}", qop="auth"' + "".join(f", {k}={v}" for k, v in more.items())
    )
    return response


def test_a_nonce_that_is_used_again_is_counted():
    """RFC 7616 §3.4: a server that sees the same count twice takes the second for a replay."""
    protection, request = Protection(), Request(method="INVITE", uri=URI.parse("sip:bob@biloxi.example"))

    def counts() -> list[str]:
        return sorted(
            part.strip() for value in request.headers.getlist("Proxy-Authorization") for part in value.split(",") if " nc=" in part
        )

    first = protection.attempt(Credentials("alice", "x"))
    assert first.meet(request, challenged("one", "n"))
    assert counts() == ["nc=00000001"]
    assert first.meet(request, challenged("two", "m"))
    assert counts() == ["nc=00000001", "nc=00000002"], "realm one sees its nonce for the second time"
    second = protection.attempt(Credentials("alice", "x"))
    request.headers.remove("Proxy-Authorization")
    assert second.meet(request, challenged("one", "n"))
    assert counts() == ["nc=00000003"]


# -- SRTP ----------------------------------------------------------------------------


def test_crypto_lines_with_an_mki_are_skipped_and_those_with_a_lifetime_are_not():
    """RFC 4568 §6.1: packets of the first would have to carry it."""
    assert Crypto.parse("1 AES_CM_128_HMAC_SHA1_80 inline:abc|2^20|1:4") is None
    assert Crypto.parse("1 AES_CM_128_HMAC_SHA1_80 inline:abc|1:4") is None
    assert Crypto.parse("1 AES_CM_128_HMAC_SHA1_80 inline:abc|2^20") == Crypto(1, "AES_CM_128_HMAC_SHA1_80", "abc")


def test_a_new_key_of_theirs_does_not_begin_our_own_stream_again():
    """RFC 3711 §3.2.1, §3.3.2: with a roll-over counter of 0 the same key makes other packet indices."""
    ours, theirs, other = (Crypto(1, "AES_CM_128_HMAC_SHA1_80", new_key()) for _ in range(3))
    sender, receiver = SrtpPair(ours, theirs), SrtpPair(theirs, ours)

    def packet(number: int) -> bytes:
        return bytes(Packet(0, number & 0xFFFF, number, 7, b"x" * 20))

    for number in (65000, 65535, 65536, 66000):
        assert receiver.unprotect(sender.protect(packet(number)))
    again = SrtpPair(ours, other, sender)
    assert receiver.unprotect(again.protect(packet(66001))), "the roll-over counter is 1 still"
    answer = SrtpPair(other, ours)
    assert again.unprotect(answer.protect(packet(5))), "and theirs is the new one"


def test_an_offer_that_cannot_be_answered_changes_no_key():
    async def script():
        async with pair("udp", "sdes") as (alice, bob):
            call, leg = await established(alice, bob)
            before = leg.negotiation._keying.protection
            request = call.dialog.request("INVITE")
            offer = Sdes().offer(Audio(alice.account.host, 4000, ((18, "G729/8000"),), profile="RTP/SAVP"))
            lines = "".join(f"a=crypto:{crypto}\r\n" for crypto in offer.crypto)
            body = f"v=0\r\no=- 1 9 IN IP4 {offer.host}\r\ns=-\r\nc=IN IP4 {offer.host}\r\nt=0 0\r\nm=audio 4000 RTP/SAVP 18\r\n{lines}"
            set_body(request, "application/sdp", body.encode())
            assert (await call.send(request)).code == 488
            assert leg.negotiation._keying.protection is before

    run(script)

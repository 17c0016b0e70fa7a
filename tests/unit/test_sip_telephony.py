"""What a user agent knows of the telephone network: causes, digits as sound, media before the answer, callers who hide."""

from __future__ import annotations

import asyncio

import pytest
from sip_pair import established, incoming, pair, run
from sipmessage import Response

from lab.sip import g711
from lab.sip.cause import cause_of, give_cause
from lab.sip.inband import FRAMES, Detector, sound
from lab.sip.media import tone
from lab.sip.rtp import DIGITS


@pytest.mark.parametrize(
    ("values", "cause"),
    [
        (["Q.850;cause=17"], 17),
        (['q.850 ; cause="34" ;text="no circuit"'], 34),
        (['Q.850;text="a";cause=1'], 1),
        (["SIP;cause=486, Q.850;cause=19"], 19),
        (["SIP;cause=200", "Q.850;cause=16"], 16),
        (["SIP;cause=486"], None),
        (["Q.850;text=none"], None),
        (['Q.850;text="busy, or so; cause=3";cause=17'], 17),
        (['SIP;text="x, Q.850;cause=3"'], None),
        (["Q.850;cause=200"], None),
        ([], None),
    ],
)
def test_a_cause_is_that_of_the_telephone_network(values, cause):
    response = Response(code=486, phrase="Busy Here")
    response.headers.setlist("Reason", values)
    assert cause_of(response) == cause


def test_a_refusal_and_a_bye_tell_their_cause():
    async def script():
        async with pair() as (alice, bob):
            _, leg = await incoming(alice, bob)
            leg.respond(500, cause=34)
            await alice.diary.wait("terminated", 500)
            assert ("released", 34) in alice.diary.entries
            assert [cause_of(response) for response in alice.responses(500)] == [34]
            response = Response(code=500, phrase="x")
            give_cause(response, 3)
            assert cause_of(response) == 3

    run(script)


def _heard(codec: str, *frames: bytes) -> str:
    detector = Detector()
    return "".join(detector.feed(g711.decode(codec, frame)) for frame in frames)


@pytest.mark.parametrize("codec", ["PCMU/8000", "PCMA/8000"])
def test_every_digit_as_sound_is_recognised_once(codec):
    assert _heard(codec, *(frame for digit in DIGITS for frame in sound(codec, digit))) == DIGITS
    assert _heard(codec, *sound(codec, "5"), *sound(codec, "5")) == "55"
    assert len(sound(codec, "5")) == 2 * FRAMES


@pytest.mark.parametrize("hz", [0, 440, 880, 941, 1040, 1336])
def test_a_tone_is_no_digit(hz):
    assert _heard("PCMU/8000", *tone("PCMU/8000", hz)) == ""


def test_a_digit_that_does_not_fall_into_frames_is_one_digit():
    data = g711.encode("PCMU/8000", bytes(140)) + b"".join(sound("PCMU/8000", "#"))
    assert _heard("PCMU/8000", *(data[n : n + 160] for n in range(0, len(data) - 159, 160))) == "#"


def test_digits_are_sound_where_an_account_wants_that():
    async def script():
        async with pair(alice_is={"inband": True}, bob_is={"inband": True}) as (alice, bob):
            call, _ = await established(alice, bob)
            assert await bob.diary.sound()
            assert b"telephone-event" not in bob.requests("INVITE")[0].body
            call.press("5#1", "rfc4733")
            await bob.diary.wait("digit", "1", "inband")
            assert [entry[1] for entry in bob.diary.entries if entry[0] == "digit"] == ["5", "#", "1"]

    run(script)


async def sent(call) -> bool:
    """A packet has gone out, within a second."""
    for _ in range(100):
        if call.stream.sent:
            return True
        await asyncio.sleep(0.01)
    return False


def test_media_begin_with_a_183_and_the_answer_is_the_same():
    async def script():
        async with pair() as (alice, bob):
            _, call = await incoming(alice, bob)
            call.respond(183)
            await alice.diary.wait("ringing", 183)
            call.respond(183)
            assert await sent(call)
            call.respond(200)
            await alice.diary.wait("established")
            early, again = alice.responses(183)
            assert early.body.startswith(b"v=0")
            assert early.body == again.body == alice.responses(200)[0].body

    run(script)


def test_an_early_answer_that_nothing_can_be_agreed_in_is_a_refusal():
    async def script():
        async with pair() as (alice, bob):
            _, call = await incoming(alice, bob)
            call.incoming.transaction.request.body = b"v=0\r\n"
            call.respond(183)
            await alice.diary.wait("terminated", 488)

    run(script)


def test_who_is_anonymous_is_named_only_to_those_who_are_trusted():
    async def script():
        async with pair(alice_is={"anonymous": True}) as (alice, bob):
            call, _ = await established(alice, bob)
            call.hang_up()
            await bob.diary.wait("terminated", 200)
            (invite,) = bob.requests("INVITE")
            assert invite.from_address.uri.host == "anonymous.invalid"
            assert invite.headers.getlist("Privacy") == ["id"]
            assert invite.headers.getlist("P-Preferred-Identity") == [f"<{alice.account.aor}>"]
            assert not invite.headers.getlist("P-Asserted-Identity")
            assert not invite.contact[0].uri.user

    run(script)


def test_who_is_trusted_asserts_and_headers_are_sent_as_they_are():
    async def script():
        headers = (("X-Int ", "a"), ("X-Int ", "\r\n b"))
        async with pair(alice_is={"asserts": True, "headers": headers}) as (alice, bob):
            await incoming(alice, bob)
            (invite,) = bob.requests("INVITE")
            assert invite.headers.getlist("P-Asserted-Identity") == [f"<{alice.account.aor}>"]
            assert not invite.headers.getlist("Privacy")
            assert b"X-Int : a\r\nX-Int :" in bytes(invite).replace(b"X-Int:", b"X-Int :")

    run(script)

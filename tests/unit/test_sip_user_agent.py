"""Two user agents on loopback addresses of their own, and nobody between them: calls, refusals, messages, misbehaviours."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import permutations
from typing import Any

import pytest
from sipmessage import URI

from lab.sip.account import Account
from lab.sip.call import Call
from lab.sip.digest import Credentials
from lab.sip.fault import MessageError
from lab.sip.keying import Sdes
from lab.sip.message import tag_of
from lab.sip.tls import TlsFiles
from lab.sip.transfer import ReferTo, Replaces
from lab.sip.user_agent import Settings, UserAgent

WITHIN = 5.0


class Diary:
    """A listener that remembers, and waits."""

    def __init__(self) -> None:
        self.entries: list[tuple[Any, ...]] = []
        self.calls: list[Call] = []
        self.pcm = bytearray()
        self._more = asyncio.Event()

    def _note(self, *entry: Any) -> None:
        self.entries.append(entry)
        self._more.set()

    def registration(self, account, state, code, reason, expires):
        self._note("registration", state, code)

    def incoming(self, call, sender, to):
        self.calls.append(call)
        self._note("incoming", sender, to)

    def state(self, call, state, code, reason):
        self._note(state, code)

    def media(self, call, direction, encryption, codec):
        self._note("media", direction, encryption, codec)

    def digit(self, call, digit, via):
        self._note("digit", digit, via)

    def heard(self, call, pcm):
        self.pcm += pcm

    def message(self, sender, body, content_type):
        self._note("message", body)

    def transfer(self, call, state, code, target):
        self._note("transfer", state, code, target)

    def outgoing(self, call, target):
        self._note("outgoing", target)

    def trouble(self, what):
        self._note("trouble", what)

    async def wait(self, *start: Any) -> tuple[Any, ...]:
        async def found() -> tuple[Any, ...]:
            while True:
                self._more.clear()
                for entry in self.entries:
                    if entry[: len(start)] == start:
                        return entry
                await self._more.wait()

        try:
            return await asyncio.wait_for(found(), WITHIN)
        except TimeoutError:
            raise AssertionError(f"no {start} in {self.entries}") from None

    async def sound(self) -> bool:
        """Something else than silence is heard, within a second."""
        self.pcm.clear()
        for _ in range(50):
            await asyncio.sleep(0.02)
            if any(self.pcm):
                return True
        return False


class Side:
    def __init__(self, user: str, transport: str, media: str, host: str, other: str) -> None:
        self.diary = Diary()
        self.ua = UserAgent(Settings(host, (), (40000, 40010), 440, TlsFiles()), self.diary)
        proxy = URI.parse(f"sip:{other}:5060;transport={transport}")
        self.account = Account("a1", URI.parse(f"sip:{user}@{host}"), Credentials(user, "x"), proxy, transport, media, host)
        self.ua.accounts.append(self.account)

    def dial(self, other: Side, *, delayed: bool = False) -> Call:
        call = self.ua.call(self.account, other.account.aor)
        call.place(other.account.aor, delayed=delayed)
        return call

    async def answer(self) -> Call:
        await self.diary.wait("incoming")
        call = self.diary.calls[-1]
        call.respond(200)
        return call


@asynccontextmanager
async def pair(transport: str = "udp", media: str = "rtp", other_media: str = ""):
    net = f"127.{secrets.randbelow(250) + 1}.{secrets.randbelow(250)}"
    one, two = f"{net}.1", f"{net}.2"
    alice, bob = Side("alice", transport, media, one, two), Side("bob", transport, other_media or media, two, one)
    await alice.ua.start()
    await bob.ua.start()
    try:
        yield alice, bob
    finally:
        await alice.ua.close()
        await bob.ua.close()


def run(script: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(script(), 30))  # type: ignore[arg-type]


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
            call = alice.dial(bob)
            await bob.answer()
            await alice.diary.wait("established")
            await bob.diary.wait("established")
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
            call = alice.dial(bob)
            await bob.answer()
            await alice.diary.wait("established")
            await bob.diary.wait("established")
            call.press("5#1", via)
            await bob.diary.wait("digit", "1", via)
            assert [entry[1] for entry in bob.diary.entries if entry[0] == "digit"] == ["5", "#", "1"]

    run(script)


@pytest.mark.parametrize("code", [404, 486, 603])
def test_a_refusal_arrives(code):
    async def script():
        async with pair() as (alice, bob):
            alice.dial(bob)
            await bob.diary.wait("incoming")
            bob.diary.calls[0].respond(180)
            await alice.diary.wait("ringing", 180)
            bob.diary.calls[0].respond(code)
            await alice.diary.wait("terminated", code)

    run(script)


def test_a_redirection_carries_the_contact_given():
    async def script():
        async with pair() as (alice, bob):
            call = alice.dial(bob)
            await bob.diary.wait("incoming")
            bob.diary.calls[0].respond(302, contact="sip:carol@chicago.example")
            await alice.diary.wait("terminated", 302)
            assert call._attempt.final.contact[0].uri == URI.parse("sip:carol@chicago.example")

    run(script)


def test_a_call_that_rings_is_cancelled():
    async def script():
        async with pair() as (alice, bob):
            call = alice.dial(bob)
            await bob.diary.wait("incoming")
            bob.diary.calls[0].respond(180)
            await alice.diary.wait("ringing")
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
            call = alice.dial(bob)
            await bob.diary.wait("incoming")
            call.negotiation._keying = Sdes()  # whatever comes now is not what was asked for
            bob.diary.calls[0].respond(200)
            reason = (await alice.diary.wait("terminated"))[0]
            assert reason == "terminated"
            await bob.diary.wait("terminated", 200)

    run(script)


def test_a_hold_that_is_refused_changes_nothing():
    async def script():
        async with pair() as (alice, bob):
            call = alice.dial(bob)
            answered = await bob.answer()
            await alice.diary.wait("established")
            await bob.diary.wait("established")
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
            call = alice.dial(bob)
            await bob.answer()
            await alice.diary.wait("established")
            await bob.diary.wait("established")
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


# Misbehaviours: each shows on the other side.


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
            alice.dial(bob)
            await bob.answer()
            await bob.diary.wait("established")
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
            call = alice.dial(bob)
            answered = await bob.answer()
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
            alice.dial(bob)
            await bob.answer()
            await alice.diary.wait("established")
            await bob.diary.wait("established")
            assert await alice.diary.sound()
            assert await bob.diary.sound()

    run(script)


def test_ignore_cancel_rings_on():
    async def script():
        async with pair() as (alice, bob):
            bob.ua.misbehave("ignore-cancel")
            call = alice.dial(bob)
            await bob.diary.wait("incoming")
            bob.diary.calls[0].respond(180)
            await alice.diary.wait("ringing")
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

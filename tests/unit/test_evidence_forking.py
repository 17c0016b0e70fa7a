"""Assertions over the branches of a fork, without a wire: what proves them, and who is blamed where it does not."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from lab.errors import EvidenceError
from lab.evidence.directory import Directory, Endpoint
from lab.evidence.forking import Forking
from lab.evidence.message import SipMessage
from lab.evidence.signalling import Signalling
from lab.plan.model import Element, Plan

NAMES = ("alice", "p", "bob1", "bob2", "bob3")
ELEMENTS = tuple(Element(name, "proxy", "test", "1", (), f"{name}.example") for name in NAMES)
DIRECTORY = Directory(Plan("forking", "", 1, (), (), ELEMENTS, ()))
SDP = "v=0\r\n"


def sip(frame: int, src: str, dst: str, start: str, *headers: str, branch: str = "", tag: str = "", body: str = "") -> SipMessage:
    """A message of INVITE's transaction or another; a hop has one branch unless told otherwise."""
    method = "INVITE" if start[0].isdigit() else start.split(maxsplit=1)[0]
    if start[0].isdigit() and "/" in start:
        start, _, method = start.partition("/")
    hop = branch or "-".join(sorted((src, dst)))
    first = f"SIP/2.0 {start} x" if start[0].isdigit() else f"{start} SIP/2.0"
    lines = [
        first,
        f"Via: SIP/2.0/UDP h;branch={hop}",
        f"To: <sip:bob@a>{f';tag={tag}' if tag else ''}",
        "Call-ID: c1",
        f"CSeq: 1 {method}",
        *headers,
    ]
    lines += ["Content-Type: application/sdp", "", body] if body else ["", ""]
    ends = [Endpoint(f"198.18.0.{NAMES.index(name)}", 5060, name) for name in (src, dst)]
    return SipMessage(frame, 100.0 + frame, *ends, "udp", "\r\n".join(lines).encode())


def fork(*more: SipMessage) -> Forking:
    """alice – p, and on to three, which all ring; then `more`."""
    first = [sip(1, "alice", "p", "INVITE sip:bob@a"), *(sip(1 + n, "p", f"bob{n}", f"INVITE sip:bob@{n}") for n in (1, 2, 3))]
    return Forking(Signalling([*first, *more], DIRECTORY))


def given_up(frame: int, who: str, reason: str = "SIP;cause=200;text=x", *, without: Iterable[str] = ()) -> list[SipMessage]:
    messages = {
        "CANCEL": sip(frame, "p", who, "CANCEL sip:bob@1", *([f"Reason: {reason}"] if reason else [])),
        "200": sip(frame + 1, who, "p", "200/CANCEL", tag=who),
        "487": sip(frame + 2, who, "p", "487", tag=who),
    }
    return [message for name, message in messages.items() if name not in without]


def blame(check) -> str:  # type: ignore[no-untyped-def]
    assert not check
    return str(check.blame)


def test_where_an_invite_went() -> None:
    assert fork().reached("bob1", "bob2", "bob3", by="p")
    alone = Forking(Signalling([sip(1, "alice", "p", "INVITE sip:bob@a")], DIRECTORY))
    assert blame(alone.reached("bob1", by="p")) == "p"
    assert alone.kept_from("bob1")
    assert blame(fork().kept_from("bob2")) == "p"
    with pytest.raises(EvidenceError):
        Forking(Signalling([], DIRECTORY)).reached("bob1", by="p")


def test_one_final_response_and_no_other() -> None:
    ok = sip(9, "p", "alice", "200", tag="1")
    assert fork(sip(8, "p", "alice", "407", tag="0"), ok, sip(10, "p", "alice", "200", tag="1")).one_final(200, 200, to="alice")
    assert blame(fork(ok, sip(10, "p", "alice", "486", tag="2")).one_final(200, 200, to="alice")) == "p"
    assert blame(fork(sip(9, "p", "alice", "500", tag="2")).one_final(400, 499, to="alice")) == "p"
    assert not fork().one_final(200, 200, to="alice")


def test_a_branch_is_cancelled_with_its_reason() -> None:
    assert fork(*given_up(9, "bob1"), *given_up(20, "bob3")).cancelled("bob1", "bob3", by="p", cause=200)
    assert fork(*given_up(9, "bob1", reason="")).cancelled("bob1", by="p")
    assert blame(fork(*given_up(9, "bob1", reason="")).cancelled("bob1", by="p", cause=200)) == "p"
    assert blame(fork(*given_up(9, "bob1", reason="Q.850;cause=200")).cancelled("bob1", by="p", cause=200)) == "p"
    assert blame(fork(*given_up(9, "bob1", without=["CANCEL"])).cancelled("bob1", by="p")) == "p"
    assert blame(fork(*given_up(9, "bob1", without=["487"])).cancelled("bob1", by="p")) == "bob1"
    assert blame(fork(*given_up(9, "bob1", without=["200"])).cancelled("bob1", by="p")) == "bob1"


@pytest.mark.parametrize(
    ("between", "proven"),
    [([], False), ([sip(8, "bob1", "p", "486", tag="x")], True), ([sip(8, "p", "bob1", "CANCEL sip:bob@1")], True)],
)
def test_one_after_the_other(between: list[SipMessage], proven: bool) -> None:
    messages = [sip(1, "alice", "p", "INVITE sip:bob@a"), sip(2, "p", "bob1", "INVITE sip:b"), *between]
    found = Forking(Signalling([*messages, sip(9, "p", "bob2", "INVITE sip:b")], DIRECTORY)).one_after_the_other("bob1", "bob2", by="p")
    assert bool(found) == proven
    assert proven or found.blame == "p"


def realms(name: str, *values: str) -> list[str]:
    return [f'{name}: Digest realm="{value}", nonce="n"' for value in values]


def test_challenges_come_in_one_response_and_are_answered_in_one_request() -> None:
    both = sip(9, "p", "alice", "401", *realms("WWW-Authenticate", "a"), *realms("Proxy-Authenticate", "b"), tag="x")
    merged = fork(both, sip(12, "alice", "p", "INVITE sip:bob@a", *realms("Authorization", "a"), *realms("Proxy-Authorization", "b")))
    assert merged.challenged("a", "b", to="alice")
    assert merged.credentials("a", "b", by="alice")
    apart = fork(
        sip(9, "p", "alice", "401", *realms("WWW-Authenticate", "a")), sip(10, "p", "alice", "401", *realms("WWW-Authenticate", "b"))
    )
    assert blame(apart.challenged("a", "b", to="alice")) == "p"
    assert blame(apart.credentials("a", "b", by="alice")) == "p"
    half = fork(both, sip(12, "alice", "p", "INVITE sip:bob@a", *realms("Authorization", "a")))
    assert blame(half.credentials("a", "b", by="alice")) == "alice"
    assert blame(fork(both).credentials("a", "b", by="alice")) == "alice"


def test_two_answers_and_what_the_caller_makes_of_them() -> None:
    answers = [sip(9, "p", "alice", "200", tag="1"), sip(10, "p", "alice", "200", tag="2"), sip(11, "p", "alice", "200", tag="2")]
    acks = [sip(12, "alice", "p", "ACK sip:b", branch="a1", tag="1"), sip(13, "alice", "p", "ACK sip:b", branch="a2", tag="2")]
    byes = [sip(14, "alice", "p", "BYE sip:b", branch="b1", tag="2"), sip(15, "alice", "p", "BYE sip:b", branch="b1", tag="2")]
    whole = fork(*answers, *acks, *byes)
    assert whole.answers(2, to="alice")
    assert whole.acknowledged(by="alice")
    assert whole.hung_up(1, by="alice")
    assert blame(fork(answers[0]).answers(2, to="alice")) == "p"
    assert blame(fork(*answers, acks[0]).acknowledged(by="alice")) == "alice"
    assert blame(fork(*answers).hung_up(1, by="alice")) == "alice"
    assert not fork().acknowledged(by="alice")


def test_early_descriptions_are_counted_by_branch() -> None:
    early = [sip(9, "p", "alice", "183", tag="1", body=SDP), sip(10, "p", "alice", "183", tag="2", body=SDP)]
    assert fork(*early, sip(11, "p", "alice", "180", tag="3")).early_descriptions(2, to="alice")
    assert not fork(early[0]).early_descriptions(2, to="alice")


def test_a_spiral_is_no_loop() -> None:
    there = [sip(1, "alice", "p", "INVITE sip:dave@b", branch="1"), sip(2, "p", "bob1", "INVITE sip:dave@b", branch="2")]
    back = [sip(3, "bob1", "p", "INVITE sip:carol@a", branch="3"), sip(4, "p", "bob2", "INVITE sip:carol@h", branch="4")]
    assert Forking(Signalling([*there, *back], DIRECTORY)).spirals("p")
    assert not Forking(Signalling(there, DIRECTORY)).spirals("p")
    refused = [*there, back[0], sip(5, "p", "bob1", "482", branch="3")]
    assert blame(Forking(Signalling(refused, DIRECTORY)).spirals("p")) == "p"


def test_invites_are_counted_once_each() -> None:
    again = sip(9, "p", "bob1", "INVITE sip:bob@1")
    assert fork(again).bounded(4)
    assert blame(fork(again).bounded(3)) == "p"

"""Extensions of a call: bob insists on each (`require`, `call.update`), where his vendor can."""

from __future__ import annotations

import pytest

from lab.agents.user_agent import UserAgent
from lab.conformance.breach import insist
from lab.conformance.conversation import connect, talk_both_ways
from lab.evidence.message import SipMessage
from lab.session.lab import Lab

pytestmark = pytest.mark.lab(topology="trapezoid")

RELIABLE = "100rel"
WITHIN = 5.0


def names(message: SipMessage, header: str, option: str) -> bool:
    """Does a header of option tags hold this one?"""
    return option in message.header_values(header)


def is_reliable(message: SipMessage) -> bool:
    """A provisional response that has to be acknowledged (RFC 3262 §3)."""
    return (
        message.status is not None and 100 < message.status < 200 and names(message, "Require", RELIABLE) and bool(message.header("RSeq"))
    )


@pytest.mark.lab(needs={"bob": ["prack"]})
def test_reliable_ringing_heard(lab: Lab, alice: UserAgent, bob: UserAgent, over: str) -> None:
    """alice offers 100rel, and acknowledges a reliable 18x with PRACK (RFC 3262 §4)."""
    alice.register(transport=over)
    bob.register(transport=over, require=RELIABLE)
    call = alice.invite(bob.aor)
    leg = bob.expect_invite()
    invites = lab.wire.signalling.requests("INVITE").sent_by("alice")
    offered = [m for m in invites if names(m, "Supported", RELIABLE) or names(m, "Require", RELIABLE)]
    insist("alice", "prack", offered, "INVITE without 100rel", *invites)
    leg.ring()
    ringing = lab.wire.wait(lambda m: is_reliable(m) and m.src.element == "bob", within=WITHIN, about="reliable 18x from bob")
    insist("bob", "prack", ringing, "sent no reliable 18x")
    lab.wire.wait(lambda m: m.is_request and m.method == "PRACK" and m.dst.element == "bob", within=WITHIN, about="PRACK")
    acknowledged = lab.wire.signalling.requests("PRACK").sent_by("alice")
    insist("alice", "prack", acknowledged, "no PRACK for the reliable 18x", *ringing)
    insist("alice", "prack", ringing[0].header("RSeq") in acknowledged[0].header("RAck"), "RAck does not name the RSeq", *acknowledged)
    leg.answer()
    assert call.established()
    assert leg.established()
    assert lab.wire.signalling.response_to("PRACK", 200, to="alice")


@pytest.mark.lab(needs={"bob": ["prack"]})
def test_reliable_ringing_sent(lab: Lab, alice: UserAgent, bob: UserAgent, over: str) -> None:
    """alice is required to send 18x reliably, does so, and answers the PRACK (RFC 3262 §3)."""
    alice.register(transport=over)
    bob.register(transport=over, require=RELIABLE)
    call = bob.invite(alice.aor)
    leg = alice.expect_invite()
    invites = lab.wire.signalling.requests("INVITE").sent_by("bob")
    insist("bob", "prack", any(names(m, "Require", RELIABLE) for m in invites), "INVITE without Require: 100rel", *invites)
    leg.ring()
    ringing = lab.wire.wait(lambda m: is_reliable(m) and m.src.element == "alice", within=WITHIN, about="reliable 18x from alice")
    insist("alice", "prack", ringing, "sent no reliable 18x although it was required")
    answered = lab.wire.wait(
        lambda m: m.status == 200 and m.method == "PRACK" and m.src.element == "alice", within=WITHIN, about="200 to PRACK"
    )
    came = lab.wire.signalling.requests("PRACK").received_by("alice")
    insist("bob" if not came else "alice", "prack", answered, "no PRACK came" if not came else "PRACK was not answered 200", *came)
    leg.answer()
    assert call.established()
    assert leg.established()


@pytest.mark.lab(needs={"bob": ["update"]})
def test_update_answered(lab: Lab, alice: UserAgent, bob: UserAgent, over: str) -> None:
    """alice allows UPDATE and answers one within an established call, which goes on (RFC 3311 §5)."""
    alice.register(transport=over)
    call, leg = connect(alice, bob)
    mine = lab.wire.signalling.requests("INVITE").sent_by("alice")
    insist("alice", "update", any(names(m, "Allow", "UPDATE") for m in mine), "Allow does not name UPDATE", *mine)
    bob.client.request("call.update", call=leg.id)
    answers = lab.wire.wait(
        lambda m: m.method == "UPDATE" and m.src.element == "alice" and not m.is_request, within=WITHIN, about="answer to UPDATE"
    )
    signalling = lab.wire.signalling
    came = signalling.requests("UPDATE").received_by("alice")
    insist("bob", "update", came, "sent no UPDATE")
    insist("alice", "update", any(m.status == 200 for m in answers), "UPDATE was not answered 200", *(answers or came))
    assert lab.talking(call, leg)


@pytest.mark.lab(needs={"bob": ["session-timer"]})
def test_session_timer_accepted(lab: Lab, alice: UserAgent, bob: UserAgent, over: str) -> None:
    """alice supports timers in her INVITE and takes a session that the other side has limited (RFC 4028 §7)."""
    alice.register(transport=over)
    bob.register(transport=over, require="timer")
    talk_both_ways(lab, alice, bob)
    signalling = lab.wire.signalling
    mine = signalling.requests("INVITE").sent_by("alice")
    insist("alice", "session timer", any(names(m, "Supported", "timer") for m in mine), "INVITE without Supported: timer", *mine)
    answers = signalling.responses(200, "INVITE").received_by("alice")
    insist("bob", "session timer", any(m.header("Session-Expires") for m in answers), "200 without Session-Expires", *answers)


@pytest.mark.lab(needs={"bob": ["session-timer"]})
def test_session_timer_kept(lab: Lab, alice: UserAgent, bob: UserAgent, over: str) -> None:
    """alice answers an INVITE that requires timers with the session's limit, and who refreshes it (RFC 4028 §9)."""
    alice.register(transport=over)
    bob.register(transport=over, require="timer")
    talk_both_ways(lab, bob, alice)
    signalling = lab.wire.signalling
    asked = signalling.requests("INVITE").sent_by("bob")
    insist("bob", "session timer", any(m.header("Session-Expires") for m in asked), "INVITE without Session-Expires", *asked)
    answers = signalling.responses(200, "INVITE").sent_by("alice")
    limited = [m for m in answers if "refresher=" in m.header("Session-Expires").replace(" ", "").lower()]
    insist("alice", "session timer", limited, "200 without Session-Expires and refresher", *answers)

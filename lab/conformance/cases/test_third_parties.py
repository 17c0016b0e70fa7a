"""What takes more than two user agents: carol, to whom a call is handed over, and a server that media can go through."""

from __future__ import annotations

import time

import pytest

from lab.agents.step import StepFailed
from lab.agents.user_agent import UserAgent
from lab.conformance.breach import insist
from lab.conformance.conversation import connect, talk_both_ways
from lab.evidence.message import SipMessage
from lab.evidence.signalling import Signalling
from lab.session.lab import Lab

pytestmark = pytest.mark.lab(topology="check", needs={"bob": ["invite"]})

WITHIN = 8.0


@pytest.fixture
def carol(lab: Lab, over: str) -> UserAgent:
    """A third user agent, of the same vendor as bob, registered."""
    agent = lab.user_agent("carol")
    agent.register(transport=over)
    return agent


def is_replacing(message: SipMessage) -> bool:
    """An INVITE that takes the place of a call (RFC 3891 §3)."""
    return message.is_request and message.method == "INVITE" and bool(message.header("Replaces"))


def handed_over(lab: Lab, transferor: str, transferee: str, target: UserAgent) -> Signalling:
    """Follow a REFER with Replaces to the 200 of the target; the replacing INVITEs as the target got them."""
    refers = lab.wire.wait(lambda m: m.is_request and m.method == "REFER" and m.src.element == transferor, within=WITHIN, about="REFER")
    insist(
        transferor, "refer", any("replaces=" in m.header("Refer-To").lower() for m in refers), "no REFER with Replaces in Refer-To", *refers
    )
    sent = lab.wire.wait(lambda m: is_replacing(m) and m.src.element == transferee, within=WITHIN, about="INVITE with Replaces")
    insist(transferee, "refer", sent, "sent no INVITE with Replaces")
    answer_if_asked(target)
    came = lab.wire.wait(lambda m: is_replacing(m) and m.dst.element == target.name, within=WITHIN, about="INVITE with Replaces")
    ids = {m.call_id for m in came}
    taken = lab.wire.wait(
        lambda m: m.status == 200 and m.method == "INVITE" and m.src.element == target.name and m.call_id in ids, within=WITHIN, about="200"
    )
    insist(target.name, "replaces", taken, "the INVITE with Replaces was not answered 200", *came)
    return came


def answer_if_asked(agent: UserAgent) -> None:
    """Whether a call that replaces another one rings or is taken at once is the vendor's choice (RFC 3891 §4)."""
    try:
        agent.expect_invite(within=2.0).try_answer()
    except StepFailed:
        return


def heard_between(lab: Lab, one: str, other: str) -> None:
    """Media flow both ways between two elements that no call object stands for, now or within a few seconds."""
    until = time.monotonic() + WITHIN
    wanted = {(one, other), (other, one)}
    while missing := wanted - {(flow.src.element, flow.dst.element) for flow in lab.wire.media.flows}:
        source, target = sorted(missing)[0]
        insist(source, "media", time.monotonic() < until, f"sent no media to {target}")


@pytest.mark.lab(needs={"bob": ["refer"]})
def test_transfer(lab: Lab, alice: UserAgent, bob: UserAgent, carol: UserAgent, over: str) -> None:
    """alice asks bob to call carol, which he accepts and does (RFC 3515)."""
    alice.register(transport=over)
    call, _ = connect(alice, bob)
    call.refer(carol.aor)
    carol.expect_invite().answer()
    assert lab.wire.signalling.response_to("REFER", 202, to="alice")
    heard_between(lab, "bob", "carol")


@pytest.mark.lab(needs={"bob": ["refer-replaces"], "carol": ["refer-replaces"]})
def test_attended_transfer(lab: Lab, alice: UserAgent, bob: UserAgent, carol: UserAgent, over: str) -> None:
    """alice talks to bob and to carol, and hands bob over: he calls carol in place of alice's own call, which ends (RFC 5589 §7)."""
    alice.register(transport=over)
    first, _ = connect(alice, bob)
    second, _ = connect(alice, carol)
    first.refer(carol.aor, replaces=second)
    handed_over(lab, "alice", "bob", carol)
    assert second.ended()
    heard_between(lab, "bob", "carol")


@pytest.mark.lab(needs={"bob": ["refer-replaces"], "carol": ["refer-replaces"]})
def test_call_is_replaced(lab: Lab, alice: UserAgent, bob: UserAgent, carol: UserAgent, over: str) -> None:
    """bob hands carol over to alice: her call with bob gives way to carol's, and she ends the old one (RFC 3891 §3)."""
    alice.register(transport=over)
    old, _ = connect(bob, alice)
    other, _ = connect(bob, carol)
    other.refer(alice.aor, replaces=old)
    handed_over(lab, "bob", "carol", alice)
    ended = lab.wire.wait(lambda m: m.is_request and m.method == "BYE" and m.src.element == "alice", within=WITHIN, about="BYE from alice")
    insist("alice", "replaces", ended, "did not end the call that was replaced")
    heard_between(lab, "alice", "carol")


@pytest.mark.lab(needs={"bob": ["ice"]})
def test_connectivity_checks(lab: Lab, alice: UserAgent, bob: UserAgent, over: str) -> None:
    """Both offer candidates, check them against each other and nominate a pair; media flow (RFC 8445, 8839)."""
    alice.register(transport=over, ice=True)
    bob.register(transport=over, ice=True)
    call, leg = connect(alice, bob)
    assert lab.talking(call, leg)
    wire = lab.wire
    offers = wire.signalling.requests("INVITE").sent_by("alice")
    insist("alice", "ice", any(b"a=candidate:" in m.body for m in offers), "offered no candidate", *offers)
    answers = wire.signalling.responses(200, "INVITE").sent_by("bob")
    insist("bob", "ice", any(b"a=candidate:" in m.body for m in answers), "answered without a candidate", *answers)
    assert wire.media_path.checked("alice", "bob")


def test_address_asked_for(lab: Lab, alice: UserAgent, bob: UserAgent, over: str) -> None:
    """alice asks a STUN server how others see her before she says where media shall come (RFC 8489)."""
    alice.register(transport=over, stun=lab.relay()["stun"])
    talk_both_ways(lab, alice, bob)
    assert lab.wire.media_path.answered("Binding", client="alice", server="turn")


def test_media_relayed(lab: Lab, alice: UserAgent, bob: UserAgent, over: str) -> None:
    """alice has a relay allocated, says so in her offer, and bob's media reach her through it (RFC 8656)."""
    alice.register(transport=over, **{name: value for name, value in lab.relay().items() if name != "stun"})
    talk_both_ways(lab, alice, bob)
    wire = lab.wire
    path = wire.media_path
    assert path.answered("Allocate", client="alice", server="turn")
    offers = wire.signalling.requests("INVITE").sent_by("alice")
    ports = {address.rpartition(":")[2].encode() for address in path.allocations("alice")}
    insist("alice", "turn", any(port in m.body for m in offers for port in ports), "offered no relayed address", *offers)
    relayed = [flow for flow in wire.media.from_("bob") if flow.dst.element == "turn"]
    insist("alice", "turn", relayed, "bob's media did not go through the relay")

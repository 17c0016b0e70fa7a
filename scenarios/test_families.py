"""Address families: a lab without IPv4, and a dual-stack proxy between the two (RFC 6157, RFC 3263 §4.2)."""

import pytest


@pytest.mark.lab(topology="trapezoid-ipv6", needs={"alice": ["udp", "invite"], "bob": ["udp", "invite"], "pa": ["udp"], "pb": ["udp"]})
@pytest.mark.control("alice", "family=4", expect="(?i)ipv4|family")
def test_ipv6_only(lab, alice, bob):
    """A call with media over IPv6: no packet of any element is anything else, and no SDP names an IPv4 address."""
    alice.register()
    bob.register()
    call = alice.invite(bob.uri("udp"))
    leg = bob.expect_invite()
    leg.answer()
    assert call.established()
    assert leg.established()
    assert lab.talking(call, leg)
    call.bye()
    assert leg.ended()

    wire = lab.wire
    assert wire.signalling.passed_through("pa", "pb")
    assert wire.media.all_rtp()
    assert wire.families().only(6)


@pytest.mark.lab(topology="trapezoid-dual", needs={"alice": ["udp", "message"], "bob": ["udp", "message"], "pa": ["udp"], "pb": ["udp"]})
@pytest.mark.parametrize(
    "path",
    [
        pytest.param(("alice", "pa", "pb", "bob"), id="4-to-6", marks=pytest.mark.control("bob", "family=4", expect="(?i)ipv4|family")),
        pytest.param(
            ("bob", "pb", "pa", "alice"), id="6-to-4", marks=pytest.mark.control("pa", "swallow-message", expect="message.received")
        ),
    ],
)
def test_families_bridged(lab, path):
    """A message from a user agent of one family reaches one of the other: the proxy between speaks each on its side."""
    sender, receiver = lab.user_agent(path[0]), lab.user_agent(path[-1])
    sender.register()
    receiver.register()
    assert sender.message(receiver.uri("udp"), "over to you")
    assert "over to you" in receiver.expect_message()

    wire = lab.wire
    assert wire.signalling.passed_through(*path[1:-1], method="MESSAGE")
    assert wire.families("four").only(4)
    assert wire.families("six").only(6)


@pytest.mark.lab(topology="trapezoid-dual", needs={"alice": ["udp", "invite"], "bob": ["udp", "invite"]}, about=["bob"])
@pytest.mark.control("bob", "family=4", expect="(?i)ipv4|family")
def test_family_mismatch(lab, alice, bob):
    """Who has no IPv4 refuses an offer of IPv4 media alone with 488, since nothing could come of it (RFC 3264 §6, RFC 6157 §4)."""
    alice.register()
    bob.register()
    call = alice.invite(bob.uri("udp"))
    lab.answered_or_refused(bob, call)

    signalling = lab.wire.signalling
    assert signalling.final_response("INVITE", 488, 488, to="alice")
    assert lab.wire.families("six").only(6)

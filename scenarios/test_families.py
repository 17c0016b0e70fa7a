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
@pytest.mark.control("bob", "family=4", expect="(?i)ipv4|family")
def test_families_bridged(lab, alice, bob):
    """A message from an IPv4 user agent reaches an IPv6 one: the proxy between speaks each family on its side, and both ways."""
    alice.register()
    bob.register()
    assert alice.message(bob.uri("udp"), "over to you")
    assert "over to you" in bob.expect_message()
    assert lab.wire.signalling.passed_through("pa", "pb", method="MESSAGE")
    assert bob.message(alice.uri("udp"), "and back")
    assert "and back" in alice.expect_message()

    wire = lab.wire
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

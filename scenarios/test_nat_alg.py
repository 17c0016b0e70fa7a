"""A SIP ALG changes what goes over UDP, and is caught at it; over TLS it sees nothing (RFC 6314 §4.4)."""

import pytest

pytestmark = pytest.mark.lab(topology="alg", needs={"alice": ["invite"], "bob": ["udp", "invite"], "pa": ["udp"]}, about=["alice", "pa"])


def call_through(lab, alice, bob, transport):
    """A call from behind the ALG; how its messages got through."""
    alice.register(transport=transport)
    bob.register()
    call = alice.invite(bob.aor)
    leg = bob.expect_invite()
    leg.answer()
    assert call.established()
    assert leg.established()
    call.bye()
    assert leg.ended()
    return lab.wire.traversal


@pytest.mark.lab(topology="alg", needs={"alice": ["udp"]})
@pytest.mark.control("nat1", "no-alg", expect="changed none")
def test_nat_alg_rewrites(lab, alice, bob):
    """Over UDP what leaves the NAT is not what was sent, and the lengths still fit."""
    traversal = call_through(lab, alice, bob, "udp")
    assert traversal.rewritten("nat1", "alice")
    assert traversal.lengths_fit("nat1")


@pytest.mark.lab(topology="alg", needs={"alice": ["tls"], "pa": ["tls"]})
@pytest.mark.control("alice", "proxy=udp", expect="changed")
def test_nat_alg_blind(lab, alice, bob):
    """Over TLS every message leaves the NAT as it was sent."""
    traversal = call_through(lab, alice, bob, "tls")
    assert traversal.untouched("nat1", "alice")

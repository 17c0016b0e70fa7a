"""A SIP ALG changes what goes over UDP, and is caught at it; over TLS it sees nothing (RFC 6314 §4.4)."""

import pytest

pytestmark = pytest.mark.lab(
    topology="alg", needs={"alice": ["udp", "tls", "invite"], "bob": ["udp", "invite"], "pa": ["udp", "tls"]}, about=["alice", "pa"]
)


def call_over(transport, alice, bob):
    """A call from behind the ALG."""
    alice.register(transport=transport)
    call = alice.invite(bob.aor)
    leg = bob.expect_invite()
    leg.answer()
    assert call.established()
    assert leg.established()
    call.bye()
    assert leg.ended()


@pytest.mark.control("nat1", "no-alg", expect="changed none")
def test_nat_alg(lab, alice, bob):
    """Over UDP what leaves the NAT is not what was sent, with lengths that still fit; over TLS it is, byte for byte."""
    bob.register()
    call_over("udp", alice, bob)
    call_over("tls", alice, bob)

    traversal = lab.wire.traversal
    assert traversal.rewritten("nat1", "alice", over="udp")
    assert traversal.lengths_fit("nat1")
    assert traversal.untouched("nat1", "alice", over="tls")

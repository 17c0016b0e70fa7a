"""A user agent behind a NAT is answered, and called, where its packets come from (RFC 3581 §4, RFC 4787)."""

import pytest

ABLE = ["udp", "invite", "ice", "stun"]
pytestmark = pytest.mark.lab(topology="nat", needs={"alice": ABLE, "bob": ABLE}, about=["alice", "pa"])


@pytest.mark.control("pa", "dial-contacts", expect="INVITE|call.incoming")
def test_nat_rport(lab, alice, bob):
    """Responses go to the source port of requests over UDP, a call comes in through the binding, and both sides hear each other."""
    for agent in (alice, bob):
        agent.register(**lab.traversal(agent.name))
    call = bob.invite(alice.aor)
    leg = alice.expect_invite()
    leg.answer()
    assert call.established()
    assert leg.established()
    assert lab.talking(call, leg)
    call.bye()
    assert leg.ended()

    traversal = lab.wire.traversal
    assert traversal.answered_to_source("pa", through="nat1")
    assert traversal.answered_to_source("pa", through="nat2")

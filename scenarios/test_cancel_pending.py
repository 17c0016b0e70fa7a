"""Giving up a call that rings (RFC 3261 §9)."""

import pytest

pytestmark = pytest.mark.lab(topology=["trapezoid", "trapezoid-ipv6"], needs={"alice": ["udp", "cancel"], "bob": ["udp", "invite"]})


@pytest.mark.control("bob", "misbehave=ignore-cancel", expect="not terminated")
def test_cancel_pending(lab, alice, bob):
    """CANCEL reaches the ringing callee: 200 to CANCEL, 487 to INVITE, and an ACK with the INVITE's branch."""
    alice.register()
    bob.register()
    call = alice.invite(bob.aor)
    leg = bob.expect_invite()
    leg.ring()
    assert call.ringing()

    call.cancel()
    assert leg.ended()
    assert call.ended()

    signalling = lab.wire.signalling
    assert signalling.response_to("CANCEL", 200, to="alice")
    assert signalling.response_to("INVITE", 487, to="alice")
    assert signalling.same_branch("INVITE", "CANCEL", source="alice")
    assert signalling.same_branch("INVITE", "ACK", source="alice")
    assert signalling.on_every_hop("CANCEL")

"""The callee makes the offer (RFC 3264 §4, RFC 6337 §2)."""

import pytest

pytestmark = pytest.mark.lab(
    topology=["trapezoid", "trapezoid-ipv6"], needs={"alice": ["udp", "delayed-offer"], "bob": ["udp", "delayed-offer-uas"]}
)


@pytest.mark.control("alice", "misbehave=ack-without-answer", expect="ACK from .* carries no SDP|established")
def test_delayed_offer(lab, alice, bob):
    """INVITE without SDP, offer in the 200, answer in the ACK, and both sides hear each other."""
    alice.register()
    bob.register()
    call = alice.invite(bob.aor, offer="delayed")
    leg = bob.expect_invite()
    leg.answer()
    assert call.established()
    assert leg.established()
    signalling = lab.wire.signalling
    assert signalling.carries_sdp("INVITE", source="alice", wanted=False)
    assert signalling.carries_sdp("ACK", to="bob", wanted=True)
    assert lab.talking(call, leg)
    call.bye()
    assert leg.ended()

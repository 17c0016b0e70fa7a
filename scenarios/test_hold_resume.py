"""Hold and resume by re-INVITE (RFC 3264 §8.4, RFC 5359 §2.1)."""

import pytest

pytestmark = pytest.mark.lab(topology=["trapezoid", "trapezoid-ipv6"], needs={"alice": ["udp", "hold"], "bob": ["udp", "hold"]})


@pytest.mark.control("alice", "misbehave=talk-on-hold", expect="still hears")
def test_hold_resume(lab, alice, bob):
    """The held side hears nothing of the holder until it is resumed."""
    alice.register()
    bob.register()
    call = alice.invite(bob.aor)
    leg = bob.expect_invite()
    leg.answer()
    assert call.established()
    assert leg.established()
    assert lab.talking(call, leg)

    assert call.hold()
    assert lab.wire.signalling.offered("sendonly", "inactive", by="alice", answered=("recvonly", "inactive"))
    assert leg.record().silent(tones=(alice.tone,))

    assert call.resume()
    assert lab.talking(call, leg)
    call.bye()
    assert leg.ended()

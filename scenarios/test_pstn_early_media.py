"""What the telephone network says before a call is answered, or instead of an answer (RFC 3398 §7.2.5, §7.2.9, RFC 3960)."""

import pytest

pytestmark = pytest.mark.lab(topology="pstn-gateway", about=["alice", "pa", "gw"], needs={"alice": ["udp", "invite"]})

RINGBACK, ANNOUNCEMENT = "+49304", "+49305"


@pytest.mark.control("gw", "own-ringback", expect="no 183 with a session description|got 0.0 s")
def test_pstn_early_media_ringback(lab, alice):
    """The network's own ringing tone reaches the caller before the answer, with 183 and SDP, and the call goes on from there."""
    alice.register()
    call = alice.dial(RINGBACK)
    leg = lab.trunk.expect_call(RINGBACK)
    assert lab.wire.heard_early(lab.trunk.tone, by="gw", to="alice", within=6)
    assert call.ringing()
    leg.answer()
    assert call.established()
    assert leg.established()
    assert lab.talking(call, leg)
    call.bye()
    assert leg.ended()
    assert lab.wire.signalling.order("INVITE", 183, 200, "ACK", "BYE", at="alice")


@pytest.mark.lab(needs={"alice": ["early-media"]})
@pytest.mark.control("gw", "own-ringback", expect="hear .* Hz")
def test_pstn_early_media_heard(lab, alice):
    """The caller hears the network's own ringing tone, not one of its own making, before anybody answers."""
    alice.register()
    call = alice.dial(RINGBACK)
    leg = lab.trunk.expect_call(RINGBACK)
    assert call.ringing()
    assert call.heard(lab.trunk.tone)
    call.cancel()
    assert leg.ended()
    assert lab.wire.signalling.never_answered("INVITE", 200)


@pytest.mark.control("gw", "own-ringback", expect="no 183 with a session description|got 0.0 s")
def test_pstn_early_media_announcement(lab, alice):
    """An announcement in place of an answer is heard to its end; then comes the refusal, with the cause that the network gave."""
    alice.register()
    call = alice.dial(ANNOUNCEMENT)
    refused = call.refused()
    assert lab.wire.telephony.early(lab.trunk.tone, by="gw", to="alice")
    assert lab.wire.telephony.refused(404, by="gw", to="pa")
    assert lab.wire.telephony.released(1, by="gw", to="pa")
    assert refused

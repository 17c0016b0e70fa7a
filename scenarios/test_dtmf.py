"""Digits as RTP events (RFC 4733)."""

import pytest

pytestmark = pytest.mark.lab(topology="trapezoid", needs={"alice": ["udp", "dtmf-rfc4733"], "bob": ["udp", "dtmf-rfc4733"]})

DIGITS = "5#1"


@pytest.mark.control("alice", "misbehave=no-digits", expect="received digits ''")
def test_dtmf(lab, alice, bob):
    """Every digit arrives once and in order, as telephone-event packets and not as sound."""
    alice.register()
    bob.register()
    call = alice.invite(bob.aor)
    leg = bob.expect_invite()
    leg.answer()
    assert call.established()
    assert leg.established()
    call.dtmf(DIGITS)
    assert leg.received_digits(DIGITS)
    assert lab.wire.media.events(DIGITS, source="alice", destination="bob")
    call.bye()
    assert leg.ended()

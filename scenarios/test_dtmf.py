"""Digits as RTP events (RFC 4733) or by INFO (RFC 6086)."""

import pytest

pytestmark = pytest.mark.lab(topology=["trapezoid", "trapezoid-ipv6"], needs={"alice": ["udp", "invite"], "bob": ["udp", "invite"]})

DIGITS = "5#1"


@pytest.mark.lab(needs={"alice": ["dtmf-rfc4733"], "bob": ["dtmf-rfc4733"], "pa": ["stateful-proxy"], "pb": ["stateful-proxy"]})
@pytest.mark.control("alice", "misbehave=no-digits", expect="alice sent the telephone-events none")
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
    heard = leg.received_digits(DIGITS)
    assert lab.wire.media.events(DIGITS, source="alice", destination="bob")  # first: what was not sent is not bob's fault
    assert heard
    call.bye()
    assert leg.ended()
    assert leg.no_other_digits(DIGITS)


@pytest.mark.lab(needs={"alice": ["dtmf-info"], "bob": ["dtmf-info"]})
@pytest.mark.control("pb", "swallow-info", expect="digits")
def test_dtmf_info(lab, alice, bob):
    """Digits sent by INFO within the dialog arrive once each and in order."""
    alice.register()
    bob.register()
    call = alice.invite(bob.aor)
    leg = bob.expect_invite()
    leg.answer()
    assert call.established()
    assert leg.established()
    for digit in DIGITS:  # one after the other: nothing keeps INFO requests in flight in order
        call.dtmf(digit, via="info")
        assert leg.received_digits(digit)
    assert lab.wire.signalling.on_every_hop("INFO")
    call.bye()
    assert leg.ended()
    assert leg.no_other_digits(DIGITS)

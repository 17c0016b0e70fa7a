"""Digits across a gateway, from one way to send them to another: RTP events (RFC 4733), INFO (RFC 6086) and sound (ITU-T Q.23)."""

import pytest

pytestmark = pytest.mark.lab(topology="pstn-gateway", about=["alice", "pa", "gw"], needs={"alice": ["udp", "invite"]})

ALICE = "+49401"
EVENTS, SOUND = "+49301", "+49302"
"""Numbers that take digits as RTP events and as sound."""
DIGITS = "5#1"


def digits(subscriber, network):
    """alice sends them in one way, and the gateway in another: it needs both."""
    return pytest.mark.lab(needs={"alice": [f"dtmf-{subscriber}"], "gw": [f"dtmf-{subscriber}", f"dtmf-{network}"]})


NO_DIGITS = pytest.mark.control("alice", "misbehave=no-digits", expect="received digits ''")
NO_INFO = pytest.mark.control("pa", "swallow-info", expect="no INFO between gw")


@pytest.mark.parametrize(
    ("via", "number"),
    [
        pytest.param("rfc4733", EVENTS, id="rfc4733-rfc4733", marks=[NO_DIGITS, digits("rfc4733", "rfc4733")]),
        pytest.param("rfc4733", SOUND, id="rfc4733-inband", marks=[NO_DIGITS, digits("rfc4733", "inband")]),
        pytest.param("inband", EVENTS, id="inband-rfc4733", marks=[NO_DIGITS, digits("inband", "rfc4733")]),
        pytest.param("inband", SOUND, id="inband-inband", marks=[NO_DIGITS, digits("inband", "inband")]),
        pytest.param("info", EVENTS, id="info-rfc4733", marks=[NO_INFO, digits("info", "rfc4733")]),
        pytest.param("info", SOUND, id="info-inband", marks=[NO_INFO, digits("info", "inband")]),
    ],
)
def test_pstn_dtmf_outward(lab, alice, via, number):
    """Each digit that a subscriber sends reaches the telephone network once and in order, in the way that is spoken there."""
    alice.register(inband=via == "inband")
    call = alice.dial(number)
    leg = lab.trunk.expect_call(number)
    assert call.established()
    assert leg.established()
    for digits in DIGITS if via == "info" else [DIGITS]:  # one after the other: nothing keeps INFO requests in flight in order
        call.dtmf(digits, via="info" if via == "info" else "rfc4733")
        heard = leg.received_digits(digits)
        if via == "info":
            assert lab.wire.signalling.on_every_hop("INFO", "alice", "pa", "gw")  # first: what was not sent is nobody else's fault
        assert heard
    if number == EVENTS:
        assert lab.wire.media.events(DIGITS, source="gw", destination="trunk")
    call.bye()
    assert leg.ended()
    assert leg.no_other_digits(DIGITS)


@pytest.mark.control("trunk", "misbehave=no-digits", expect="received digits ''")
@pytest.mark.parametrize(
    "inband",
    [
        pytest.param(False, id="rfc4733-rfc4733", marks=digits("rfc4733", "rfc4733")),
        pytest.param(True, id="inband-rfc4733", marks=digits("rfc4733", "inband")),
    ],
)
def test_pstn_dtmf_inward(lab, alice, inband):
    """Each digit of the telephone network, event or sound, reaches a subscriber once and in order, as an RTP event."""
    alice.register()
    call = lab.trunk.call(ALICE, EVENTS, inband=inband)
    leg = alice.expect_invite()
    leg.answer()
    assert call.established()
    assert leg.established()
    call.dtmf(DIGITS)
    assert leg.received_digits(DIGITS)
    assert lab.wire.media.events(DIGITS, source="gw", destination="alice")
    call.bye()
    assert leg.ended()
    assert leg.no_other_digits(DIGITS)

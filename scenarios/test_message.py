"""A page-mode instant message (RFC 3428)."""

import pytest

pytestmark = pytest.mark.lab(
    topology=["trapezoid", "trapezoid-ipv6", "trapezoid-dual"], needs={"alice": ["udp", "message"], "bob": ["udp", "message"]}
)

TEXT = "The rain in Spain: 100 % <tags> & \u00fcml\u00e4uts"


@pytest.mark.control("pb", "swallow-message", expect="message.received")
def test_message(lab, alice, bob):
    """The text arrives unchanged, byte for byte on every hop, and a 2xx tells the sender that it did."""
    alice.register()
    bob.register()
    sent = alice.message(bob.aor, TEXT)
    assert bob.expect_message() == TEXT
    assert sent
    signalling = lab.wire.signalling
    assert signalling.brought("MESSAGE", TEXT.encode(), to="bob")
    assert signalling.final_response("MESSAGE", 200, 299, to="alice")
    assert signalling.passed_through("pa", "pb", method="MESSAGE")

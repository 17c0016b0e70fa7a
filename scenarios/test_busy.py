"""A refusal reaches the caller as it was given (RFC 3261 §16.7, §21.4.24)."""

import pytest

pytestmark = pytest.mark.lab(topology=["trapezoid", "trapezoid-ipv6"], needs={"alice": ["udp", "invite"], "bob": ["udp", "busy"]})


@pytest.mark.control("pb", "refusal-as-500", expect="486")
def test_busy(lab, alice, bob):
    """486 Busy Here comes back unchanged across both proxies, and is acknowledged hop by hop."""
    alice.register()
    bob.register()
    call = alice.invite(bob.aor)
    leg = bob.expect_invite()
    leg.reject(486)
    ended = call.ended()

    signalling = lab.wire.signalling
    assert signalling.response_to("INVITE", 486, to="alice")
    assert ended.coded(486)
    assert signalling.on_every_hop("ACK")

"""Another domain's requests are taken from that domain only (RFC 3261 §26.3.2.2, RFC 5922 §7.3)."""

import pytest

pytestmark = pytest.mark.lab(topology=["trapezoid", "trapezoid-ipv6"], about=["pb"], needs={"alice": ["invite"], "bob": ["udp", "invite"]})


def over(transport):
    """Caller and callee's proxy need the transport."""
    return pytest.param(transport, id=transport, marks=pytest.mark.lab(needs={"alice": [transport], "pb": [transport]}))


@pytest.mark.control("pb", "accept-any-peer", expect="INVITE reached bob")
@pytest.mark.parametrize("transport", [over("udp"), over("tcp"), over("tls")])
def test_peer_authentication(lab, alice, bob, transport):
    """A request from a foreign domain that does not come by that domain's proxy is refused, and the callee is not asked."""
    bob.register()
    alice.add_account(transport=transport, proxy=f"pb/{transport}")
    call = alice.invite(bob.aor)
    lab.answered_or_refused(bob, call)
    refused = call.refused()

    signalling = lab.wire.signalling
    assert signalling.kept_from("bob")
    assert signalling.hop_over("alice", "pb", transport)
    assert refused
    assert signalling.final_response("INVITE", 400, 699, to="alice")

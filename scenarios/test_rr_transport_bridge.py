"""Proxies between different transports must stay in the dialog (RFC 3261 §16.6, RFC 5658)."""

import pytest

pytestmark = pytest.mark.lab(
    topology=["trapezoid", "trapezoid-ipv6"],
    needs={
        "alice": ["udp", "invite"],
        "bob": ["tcp", "invite"],
        "pa": ["udp", "tls", "stateful-proxy"],
        "pb": ["tcp", "tls", "stateful-proxy"],
    },
)


@pytest.mark.control("pa", "no-record-route", expect="established|BYE|Record-Route|terminated")
def test_rr_transport_bridge(lab, alice, bob):
    """UDP to the first proxy, TLS between the proxies, TCP to the callee; the callee's BYE comes back over all three."""
    alice.register(transport="udp")
    bob.register(transport="tcp")

    call = alice.invite(bob.aor)
    leg = bob.expect_invite()
    leg.answer()
    assert call.established()
    assert lab.wire.signalling.record_routes_fit()
    assert leg.established()
    leg.bye()
    assert call.ended()

    signalling = lab.wire.signalling
    assert signalling.hop_over("alice", "pa", "udp")
    assert signalling.hop_over("pa", "pb", "tls")
    assert signalling.hop_over("pb", "bob", "tcp")
    assert signalling.passed_through("pa", "pb")
    assert signalling.on_every_hop("BYE")

"""A proxy must not hand a request to a next hop that is not whom it looked for (RFC 3261 §26.3.2.2, RFC 5922 §7.2)."""

import pytest

pytestmark = pytest.mark.lab(
    topology=["trapezoid", "trapezoid-ipv6"],
    about=["pa", "pb"],
    needs={"alice": ["udp", "invite"], "bob": ["udp", "invite"], "pa": ["tls", "naptr"], "pb": ["tls"]},
)


@pytest.mark.control("pa", "forward-in-clear", expect="no TLS handshake")
@pytest.mark.parametrize("fault", ["wrong-san", "unknown-ca", "expired", "not-yet-valid"])
def test_proxy_peer_certificate(lab, alice, bob, fault):
    """With one thing wrong in its certificate the next proxy sees a handshake and not one byte of SIP; the caller is refused."""
    alice.register()
    call = alice.invite(bob.aor.replace("@", f"@{fault}."))
    refused = call.refused(within=20)

    wire = lab.wire
    assert wire.tls.attempted("pa", "pb", port=lab.fault_port("pb", fault))
    assert wire.signalling.no_sip_bytes("pa", "pb")
    assert refused
    assert wire.signalling.final_response("INVITE", 400, 699, to="alice")

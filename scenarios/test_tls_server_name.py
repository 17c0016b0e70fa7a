"""A client must not talk SIP to a server that is not whom it dialled (RFC 5922 §7, RFC 3261 §26.3.2)."""

import pytest

pytestmark = pytest.mark.lab(
    topology=["trapezoid", "trapezoid-ipv6"], about=["alice", "pa"], needs={"alice": ["tls", "tls-server-name"], "pa": ["tls"]}
)


@pytest.mark.control("alice", "proxy=expired", expect="register")
def test_tls_good_certificate(lab, alice):
    """With the right certificate the registration goes through, over TLS only."""
    alice.register(transport="tls")

    wire = lab.wire
    assert wire.signalling.all_over("tls")
    assert wire.signalling.response_to("REGISTER", 200, to="alice")


@pytest.mark.control("alice", "misbehave=accept-any-certificate", expect="registered")
@pytest.mark.parametrize("fault", ["wrong-san", "unknown-ca", "expired", "not-yet-valid"])
def test_tls_server_name(lab, alice, fault):
    """With a certificate that has one thing wrong the handshake is tried, and not one byte of SIP passes."""
    outcome = alice.attempt_register(transport="tls", proxy=fault, within=20)

    assert outcome.refused
    wire, port = lab.wire, lab.fault_port("pa", fault)
    assert wire.tls.attempted("alice", "pa", port=port)
    assert wire.signalling.no_sip_bytes("alice", "pa", port=port)


@pytest.mark.control("alice", "proxy=tls", expect="registered")
def test_tls_ip_literal(lab, alice):
    """Dialled by address, a certificate has to name that address (RFC 5922 §7.2, RFC 6125 §6.2): another's is refused before any SIP."""
    outcome = alice.attempt_register(transport="tls", proxy="address/wrong-san", within=20)

    assert outcome.refused
    wire, port = lab.wire, lab.fault_port("pa", "wrong-san")
    assert wire.tls.attempted("alice", "pa", port=port)
    assert wire.signalling.no_sip_bytes("alice", "pa", port=port)

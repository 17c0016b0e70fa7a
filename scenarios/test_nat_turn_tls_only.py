"""Where nothing but TLS to port 443 gets out, media go through a relay over TLS (RFC 8656 §3.1, RFC 8445)."""

import pytest

pytestmark = pytest.mark.lab(
    topology="firewall", needs={"alice": ["tls", "invite", "ice", "turn"], "bob": ["udp", "invite", "ice"]}, about=["alice"]
)


@pytest.mark.control("alice", "turn_password=wrong", expect="hear|call.invite|established")
def test_nat_turn_tls_only(lab, alice, bob):
    """Both hear each other, and all of alice's media leave the relay's address."""
    alice.register(transport="tls", **lab.traversal("alice", relay="tls"))
    bob.register(ice=True)
    call = alice.invite(bob.aor)
    leg = bob.expect_invite()
    leg.answer()
    assert call.established(within=12)
    assert leg.established()
    assert lab.talking(call, leg, within=8)
    call.bye()
    assert leg.ended()

    wire = lab.wire
    assert wire.tls.attempted("alice", "turn", port=443)
    traversal = wire.traversal
    assert traversal.sees("bob", "relay", of="alice")
    assert traversal.relayed("turn", to="bob")

"""Through a firewall a call comes down the connection that its callee opened (RFC 5626 §5.3, RFC 5923)."""

import pytest

pytestmark = pytest.mark.lab(topology="firewall", needs={"alice": ["invite"], "bob": ["udp", "invite"]}, about=["alice", "pa"])


@pytest.mark.parametrize(
    "transport",
    [
        pytest.param("tcp", marks=pytest.mark.lab(topology="firewall", needs={"alice": ["tcp"], "pa": ["tcp"]})),
        pytest.param("tls", marks=pytest.mark.lab(topology="firewall", needs={"alice": ["tls"], "pa": ["tls"]})),
    ],
)
@pytest.mark.control("pa", "dial-contacts", expect="INVITE|call.incoming")
def test_firewall_reuse(lab, alice, bob, transport):
    """INVITE, ACK and BYE reach a user agent that nobody outside can connect to, on the connection of its REGISTER."""
    alice.register(transport=transport)
    bob.register()
    call = bob.invite(alice.aor)
    leg = alice.expect_invite()
    leg.answer()
    assert call.established()
    assert leg.established()
    call.bye()
    assert leg.ended()

    traversal = lab.wire.traversal
    for method in ("INVITE", "ACK", "BYE"):
        assert traversal.came_down_own_connection("alice", method)

"""What is behind a session border controller stays unknown in front of it (RFC 5853 §3.1)."""

import pytest

pytestmark = pytest.mark.lab(
    topology="sbc",
    needs={
        "alice": ["udp", "hold", "refer"],
        "bob": ["udp", "hold", "refer"],
        "carol": ["udp", "invite"],
        "sbc": ["hold", "refer", "topology-hiding"],
    },
)


@pytest.mark.parametrize(("caller", "callee"), [pytest.param("alice", "bob", id="inward"), pytest.param("bob", "alice", id="outward")])
@pytest.mark.control("sbc", "show-inside", expect="names")
def test_sbc_topology_hiding(lab, carol, caller, callee):
    """A call, a hold and a transfer by the side within, and the BYE: no octet outside names an address or a host inside."""
    sides = {name: lab.user_agent(name) for name in ("alice", "bob")}
    for agent in (*sides.values(), carol):
        agent.register()
    call = sides[caller].invite(sides[callee].aor)
    leg = sides[callee].expect_invite()
    leg.answer()
    assert call.established()
    assert leg.established()
    inside = {caller: call, callee: leg}["bob"]
    assert inside.hold()
    assert inside.resume()

    inside.refer(carol.aor)
    target = carol.expect_invite()
    target.answer()
    assert target.established()
    assert inside.transferred()
    inside.try_bye()
    assert inside.ended()
    target.bye()
    assert target.ended()

    assert lab.wire.octets("internet").hide("core")

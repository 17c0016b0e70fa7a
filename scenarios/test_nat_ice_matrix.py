"""ICE finds the path that two NATs allow, and no worse one (RFC 8445, RFC 4787, RFC 8656).

Which candidates media should run between follows from how the two NATs behave, which the lab has measured: `lab/plan/nat.py`.
"""

import pytest

pytestmark = pytest.mark.lab(
    topology="nat", needs={"alice": ["tcp", "invite", "ice", "stun", "turn"], "bob": ["tcp", "invite", "ice", "stun", "turn"]}
)


@pytest.mark.control("nat1", "symmetric", expect="media run between")
def test_nat_ice_matrix(lab, alice, bob):
    """Media run between the candidates that the two NATs' behaviour predicts; a relay is used only where nothing else can work."""
    for agent in (alice, bob):
        agent.register(transport="tcp", **lab.traversal(agent.name))
    call = alice.invite(bob.aor)
    leg = bob.expect_invite()
    leg.answer()
    assert call.established()
    assert leg.established()
    assert lab.talking(call, leg, within=8)
    assert lab.wire.traversal.between("alice", "bob", lab.predicted_pair("alice", "bob"))
    call.bye()
    assert leg.ended()

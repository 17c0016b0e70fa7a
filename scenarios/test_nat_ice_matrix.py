"""ICE finds the path that two NATs allow, and no worse one (RFC 8445, RFC 4787, RFC 8656).

Which candidates media should run between follows from how the two NATs behave, which the lab has measured: `lab/plan/nat.py`.
"""

import pytest

pytestmark = pytest.mark.lab(
    topology="nat", needs={"alice": ["tcp", "invite", "ice", "stun", "turn"], "bob": ["tcp", "invite", "ice", "stun", "turn"]}
)


@pytest.mark.control("nat1", "symmetric", expect="media run between")
def test_nat_ice_matrix(lab, traversed, alice, bob):
    """Media run between the candidates that the two NATs' behaviour predicts; a relay is used only where nothing else can work."""
    assert traversed(alice, bob).between("alice", "bob", lab.predicted_pair("alice", "bob"))

"""Two user agents behind one NAT find the shortest way to each other (RFC 8445 §5.1.2, RFC 4787 §6)."""

import pytest

pytestmark = pytest.mark.lab(topology="home")
ABLE = ["tcp", "invite", "ice", "stun", "turn"]


@pytest.mark.lab(topology="home", needs={"alice": ["tcp", "invite", "ice"], "bob": ["tcp", "invite", "ice"]})
@pytest.mark.control("pa", "strip-host-candidates", expect="media run between")
def test_nat_same_network(traversed, alice, bob):
    """On one home network media go from host to host, and once that pair is nominated no further."""
    traversal = traversed(alice, bob)
    assert traversal.between("alice", "bob", ("host", "host"))
    assert traversal.no_media_at("nat1")


@pytest.mark.lab(topology="home", needs={"alice": ABLE, "carol": ABLE})
@pytest.mark.control("nat1", "no-hairpin", expect="media run between")
def test_nat_hairpin(lab, traversed, alice):
    """From two networks behind one NAT media turn round at its public address, and need no relay."""
    traversal = traversed(alice, lab.user_agent("carol"))
    assert traversal.between("alice", "carol", lab.predicted_pair("alice", "carol"))

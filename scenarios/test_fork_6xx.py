"""A refusal that speaks for the user ends the whole fork (RFC 3261 §16.7 step 5, §21.6)."""

import pytest

needs = {
    "p": ["udp", "stateful-proxy"],
    "ref1": ["udp", "reject-any"],
    **{name: ["udp", "invite"] for name in ("alice", "bob1", "bob2", "bob3")},
}
pytestmark = pytest.mark.lab(topology="forking", needs=needs, about=["p"])


@pytest.mark.control("p", "refusal-as-500", expect="should get 603")
def test_fork_6xx(lab, alice, bobs, refs, forked):
    """One contact declines with 603 while the others ring: those are cancelled, and 603 is what the caller gets."""
    decliner = refs[0]
    alice.register()
    for bob in (*bobs, decliner):
        bob.register()

    call = alice.invite(decliner.aor)
    assert forked("bob1", "bob2", "bob3", "ref1")
    legs = [bob.expect_invite() for bob in bobs]
    for leg in legs:
        leg.ring()
    assert call.ringing()
    decliner.expect_invite().reject(603)
    ended = call.ended()
    forking = lab.wire.forking
    assert forking.one_final(603, 603, to="alice")
    assert forking.cancelled("bob1", "bob2", "bob3", by="p")
    for leg in legs:
        assert leg.refused()
    assert ended

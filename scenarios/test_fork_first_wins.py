"""One of several contacts answers, and the others are told to stop (RFC 3261 §16.7 steps 5 and 10, RFC 3326)."""

import pytest

USER_AGENTS = ("alice", "bob1", "bob2", "bob3")
pytestmark = pytest.mark.lab(topology="forking", needs={"p": ["udp"], **{name: ["udp", "invite"] for name in USER_AGENTS}})


@pytest.mark.control("p", "no-cancel-reason", expect="has the Reason none")
def test_fork_first_wins(lab, alice, bobs, forked):
    """All three ring, one answers: one 200 upstream, CANCEL with its reason to the others, which end without having been answered."""
    alice.register()
    for bob in bobs:
        bob.register()

    call = alice.invite(bobs[0].aor)
    assert forked("bob1", "bob2", "bob3")
    legs = [bob.expect_invite() for bob in bobs]
    for leg in legs:
        leg.ring()
    assert call.ringing()
    first, winner, third = legs
    winner.answer()
    assert call.established()
    assert winner.established()
    assert lab.wire.forking.cancelled("bob1", "bob3", by="p", cause=200)
    for loser in (first, third):
        assert loser.refused()
    assert lab.talking(call, winner)
    assert lab.wire.forking.one_final(200, 200, to="alice")

    call.bye()
    assert winner.ended()
    assert call.ended()

"""Contacts of different preference are tried one after the other (RFC 3261 §16.6, §16.7 steps 5 and 6)."""

import pytest

BOBS = ["udp", "invite", "q-value"]
pytestmark = pytest.mark.lab(
    topology="forking",
    needs={"p": ["udp", "fork-serial"], "alice": ["udp", "invite"], "bob1": [*BOBS, "busy"], "bob2": BOBS, "bob3": BOBS},
    about=["p"],
)


def in_turn(lab, alice, bobs, forked):
    """The first is busy, the second rings until the proxy gives up on it, the third is asked: the call and its third leg."""
    alice.register()
    for bob, preference in zip(bobs, (1.0, 0.6, 0.2), strict=True):
        bob.register(q=preference)
    call = alice.invite(bobs[0].aor)
    first, second, third = bobs
    assert forked("bob1")
    first.expect_invite().reject(486)
    ringing = second.expect_invite()
    ringing.ring()
    leg = third.expect_invite(within=lab.plan.element("p").options["ring_seconds"] + 6)
    assert lab.wire.forking.one_after_the_other("bob1", "bob2", "bob3", by="p")
    assert ringing.refused()
    return call, leg


@pytest.mark.control("p", "ignore-q", expect="had not ended")
def test_fork_sequential(lab, alice, bobs, forked):
    """Contacts are tried in the order of q: the first is busy, the second does not answer and is cancelled, the third one answers."""
    call, leg = in_turn(lab, alice, bobs, forked)
    leg.answer()
    assert call.established()
    assert leg.established()
    assert lab.talking(call, leg)

    forking = lab.wire.forking
    assert forking.cancelled("bob2", by="p")
    assert forking.one_final(200, 200, to="alice")
    call.bye()
    assert leg.ended()
    assert call.ended()


@pytest.mark.lab(needs={"bob3": ["reject-any"]})
@pytest.mark.control("p", "failure-as-603", expect="got: 603")
def test_fork_best_response(lab, alice, bobs, forked):
    """Where all fail, the caller gets the final response of the lowest class: a 4xx of the first two, not the 500 that came last."""
    call, leg = in_turn(lab, alice, bobs, forked)
    leg.reject(500)
    ended = call.ended()

    assert lab.wire.forking.one_final(400, 499, to="alice")
    assert ended

"""Early media of several branches, and then one of another (RFC 3261 §13.2.1, RFC 3960 §3)."""

import pytest

pytestmark = pytest.mark.lab(
    topology="forking",
    needs={
        "p": ["udp", "stateful-proxy"],
        "alice": ["udp", "invite"],
        "bob3": ["udp", "invite"],
        "ref1": ["udp", "raw"],
        "ref2": ["udp", "raw"],
    },
    about=["alice"],
)


@pytest.mark.control("alice", "misbehave=first-description", expect="hear")
def test_fork_dual_early_media(lab, alice, bobs, refs, forked):
    """Two branches play early media, a third one answers: caller and answerer hear each other, and the caller nobody else."""
    answerer = bobs[2]
    alice.register()
    answerer.register()
    for ref in refs:
        ref.register(early_media=True)

    call = alice.invite(answerer.aor)
    assert forked("bob3", "ref1", "ref2")
    early = [ref.expect_invite() for ref in refs]
    for leg in early:
        leg.ring()
    leg = answerer.expect_invite()
    leg.ring()
    assert call.ringing()
    assert lab.wire.forking.early_descriptions(2, to="alice")
    for ref in refs:
        assert lab.wire.heard_early(ref.tone, by=ref.name, to="alice", within=5.0)
    leg.answer()
    assert call.established()
    for other in early:
        assert other.refused()
    assert lab.talking(call, leg)
    assert lab.wire.forking.one_final(200, 200, to="alice")

    call.bye()
    assert leg.ended()
    assert call.ended()

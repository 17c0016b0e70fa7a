"""Attended transfer (RFC 5589 §7, RFC 3891): the new call takes the place of the one that was there for consultation."""

import pytest

pytestmark = pytest.mark.lab(topology="trapezoid", needs={"alice": ["udp", "refer-replaces"], "bob": ["udp", "refer-replaces"]})


@pytest.mark.control("alice", "misbehave=bad-replaces", expect="no call.incoming")
def test_attended_transfer(lab, alice, bob):
    """bob is referred to the far end of alice's second call (here herself), replaces it, and is heard there."""
    alice.register()
    bob.register()
    call = alice.invite(bob.aor)
    leg = bob.expect_invite()
    leg.answer()
    assert call.established()
    assert leg.established()
    consultation = alice.invite(alice.aor)
    target = alice.expect_invite()
    target.answer()
    assert consultation.established()
    assert target.established()

    call.refer(alice.aor, replaces=consultation)
    replacement = alice.expect_invite()
    assert replacement.established()
    assert target.ended()
    assert consultation.ended()
    assert replacement.heard(bob.tone)

    signalling = lab.wire.signalling
    assert signalling.final_response("REFER", 200, 299, to="alice")
    replacing = signalling.requests("INVITE").where(lambda m: bool(m.header("Replaces")), "with Replaces")
    assert replacing.passed_through("pb", "pa")
    replacement.bye()
    assert replacement.ended()

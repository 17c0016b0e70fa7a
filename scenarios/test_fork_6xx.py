"""What refusals make of a fork: one that speaks for the user ends it, else the best is passed on (RFC 3261 §16.7 steps 5 and 6, §21.6)."""

import pytest

pytestmark = pytest.mark.lab(
    topology="forking", needs={"p": ["udp", "stateful-proxy"], "alice": ["udp", "invite"], "ref1": ["udp", "reject-any"]}, about=["p"]
)


@pytest.mark.lab(needs={name: ["udp", "invite"] for name in ("bob1", "bob2", "bob3")})
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


@pytest.mark.lab(needs={"ref2": ["udp", "reject-any"]})
@pytest.mark.control("p", "refusal-as-500", expect="got: 500")
def test_fork_best_at_once(lab, alice, refs, forked):
    """Of two contacts that ring at once the first is busy and the other fails: the caller gets the 486, though the 500 came last."""
    alice.register()
    for ref in refs:
        ref.register()
    call = alice.invite(refs[0].aor)
    assert forked("ref1", "ref2")
    legs = [ref.expect_invite() for ref in refs]
    for leg, code in zip(legs, (486, 500), strict=True):
        leg.reject(code)
        assert lab.wire.wait(lambda m, code=code: m.status == code and m.dst.element == "p", within=5.0)
    ended = call.ended()

    assert lab.wire.forking.one_final(486, 486, to="alice")
    assert ended

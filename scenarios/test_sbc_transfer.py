"""Transfers across a session border controller, which has to know both dialogs (RFC 5589, RFC 3891, RFC 3515)."""

import pytest

pytestmark = pytest.mark.lab(
    topology="sbc", needs={"alice": ["udp", "refer"], "bob": ["udp", "refer"], "carol": ["udp", "invite"], "sbc": ["refer"]}
)


def connected(caller, callee):
    """An established call, both its sides."""
    call = caller.invite(callee.aor)
    leg = callee.expect_invite()
    leg.answer()
    assert call.established()
    assert leg.established()
    return call, leg


@pytest.mark.lab(needs={"alice": ["refer-replaces"], "bob": ["refer-replaces"], "carol": ["refer-replaces"], "sbc": ["refer-replaces"]})
@pytest.mark.control("sbc", "strip-replaces", expect="not terminated")
def test_xfer_attended_sbc(lab, alice, bob, carol):
    """alice talks to bob inside and to carol outside, and connects them: the two hear each other, alice hears that it worked and is out."""
    for agent in (alice, bob, carol):
        agent.register()
    first, _ = connected(alice, bob)
    second, _ = connected(alice, carol)
    first.refer(carol.aor, replaces=second)
    lab.answered_or_refused(carol, second)  # whether a call that replaces another one rings is the choice of who gets it (RFC 3891 §4)
    assert first.transferred()
    assert second.ended()
    first.try_bye()
    assert first.ended()

    assert lab.wire.says("sbc", "bob", carol.tone)
    assert lab.wire.says("sbc", "carol", bob.tone)
    told = lab.wire.signalling.requests("NOTIFY").received_by("alice").where(lambda m: b"SIP/2.0 200" in m.body)
    assert told, "no NOTIFY with 200 reached alice"


@pytest.mark.control("sbc", "swallow-refer", expect="call.incoming")
def test_xfer_blind_early_bye(lab, alice, bob, carol):
    """alice refers bob to carol and hangs up as soon as that is accepted: bob and carol are connected all the same (RFC 5589 §6.1)."""
    for agent in (alice, bob, carol):
        agent.register()
    first, _ = connected(alice, bob)
    first.refer(carol.aor)
    lab.wire.wait(lambda m: m.status == 202 and m.method == "REFER" and m.dst.element == "alice", within=5, about="202 to REFER")
    first.try_bye()  # some hang up by themselves
    target = carol.expect_invite()
    target.answer()
    assert target.established()
    assert first.ended()

    assert target.heard(bob.tone)
    assert lab.wire.says("sbc", "bob", carol.tone)
    target.bye()
    assert target.ended()

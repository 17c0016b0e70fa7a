"""Blind transfer (RFC 3515, RFC 5589 §6)."""

import pytest

pytestmark = pytest.mark.lab(
    topology=["trapezoid", "trapezoid-ipv6"],
    needs={"alice": ["udp", "refer"], "bob": ["udp", "refer"], "pa": ["stateful-proxy"], "pb": ["stateful-proxy"]},
)


@pytest.mark.control("pb", "swallow-refer", expect="no 404–480")
def test_transfer_failed(lab, alice, bob):
    """Who is referred calls the target; that nobody is there is what the transferor hears, by NOTIFY within the first dialog."""
    alice.register()
    bob.register()
    call = alice.invite(bob.aor)
    leg = bob.expect_invite()
    leg.answer()
    assert call.established()
    assert leg.established()

    leg.refer("sip:nobody@biloxi.example")
    outcome = leg.transferred()

    signalling = lab.wire.signalling
    assert signalling.final_response("REFER", 200, 299, to="bob")
    assert signalling.final_response("INVITE", 404, 480, to="alice")
    assert signalling.on_every_hop("NOTIFY")
    assert outcome.refused
    call.try_bye()  # some end a call that they could not transfer by themselves
    assert leg.ended()

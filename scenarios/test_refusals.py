"""Refusals and redirections of the callee's choice reach the caller as they were given (RFC 3261 §16.7, §21.3–21.6)."""

import pytest

pytestmark = pytest.mark.lab(topology=["trapezoid", "trapezoid-ipv6"], needs={"alice": ["udp", "invite"], "bob": ["udp", "invite"]})


@pytest.mark.lab(needs={"bob": ["reject-any"]})
@pytest.mark.parametrize("code", [pytest.param(480, id="480"), pytest.param(603, id="603")])
@pytest.mark.control("pb", "refusal-as-500", expect="500")
def test_refusal(lab, alice, bob, code):
    """The code of a refusal comes back unchanged across both proxies, also one that speaks for the whole user (6xx)."""
    alice.register()
    bob.register()
    call = alice.invite(bob.aor)
    bob.expect_invite().reject(code)
    ended = call.ended()

    signalling = lab.wire.signalling
    assert signalling.response_to("INVITE", code, to="alice")
    assert ended.coded(code)
    assert signalling.on_every_hop("ACK")


@pytest.mark.lab(needs={"bob": ["redirect"]})
@pytest.mark.control("pb", "refusal-as-500", expect="500")
def test_redirect_302(lab, alice, bob):
    """A 302 reaches the caller with its Contact; who follows it asks exactly for that, who does not ends the call (RFC 3261 §8.1.3.4)."""
    alice.register()
    bob.register()
    elsewhere = "sip:nobody@biloxi.example"
    call = alice.invite(bob.aor)
    bob.expect_invite().redirect(elsewhere)
    ended = call.ended()

    signalling = lab.wire.signalling
    assert signalling.response_to("INVITE", 302, to="alice")
    assert signalling.redirected(elsewhere, to="alice")
    assert ended

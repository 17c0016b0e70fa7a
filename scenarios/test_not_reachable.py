"""Nobody to hand a request to: the caller is told so, by 480 or 404 (RFC 3261 §16.5, §21.4.5)."""

import pytest

pytestmark = pytest.mark.lab(topology=["trapezoid", "trapezoid-ipv6", "trapezoid-dual"], needs={"alice": ["udp", "invite"]})


@pytest.mark.lab(about=["alice", "pa", "pb"])
@pytest.mark.control("pa", "refusal-as-500", expect="no 404–480")
def test_unknown_user(lab, alice):
    """A call to a user that does not exist is refused, and the caller hears the code that was given."""
    alice.register()
    call = alice.invite("sip:nobody@biloxi.example")
    ended = call.ended()

    signalling = lab.wire.signalling
    assert signalling.final_response("INVITE", 404, 480, to="alice")
    assert ended.coded(404, 480)
    assert signalling.on_every_hop("ACK")


@pytest.mark.lab(needs={"bob": ["udp", "invite"]})
@pytest.mark.control("pb", "keep-bindings", expect="INVITE reached bob")
def test_unregister(lab, alice, bob):
    """Who has taken the binding back is not called any more (RFC 3261 §10.2.2)."""
    alice.register()
    bob.register()
    bob.unregister()
    call = alice.invite(bob.aor)
    lab.answered_or_refused(bob, call)
    refused = call.refused()

    signalling = lab.wire.signalling
    assert signalling.kept_from("bob")
    assert refused
    assert signalling.final_response("INVITE", 404, 480, to="alice")


@pytest.mark.lab(about=["alice", "pa", "pb"], needs={"alice": ["message"]})
@pytest.mark.control("pb", "swallow-message", expect="200")
def test_message_undelivered(lab, alice):
    """A message to nobody is never reported as delivered (RFC 3428 §7)."""
    alice.register()
    sent = alice.message("sip:nobody@biloxi.example", "anybody there?")

    assert lab.wire.signalling.never_answered("MESSAGE", 200, to="alice")
    assert lab.wire.signalling.final_response("MESSAGE", 404, 480, to="alice")
    assert sent.failed

"""A NAT that restarts in the middle of a call changes every port, and the media find their way back (RFC 4961, RFC 7362 §4)."""

import pytest

pytestmark = pytest.mark.lab(topology="cgn", needs={"alice": ["udp", "invite"], "bob": ["udp", "invite"]}, about=["bob"])

BACK_WITHIN = 5
"""Seconds of silence that people bear with."""


@pytest.mark.control("nat1", "deaf-after-flush", expect="media of alice")
def test_nat_rebind(lab, alice, bob):
    """Audio both ways, through a home NAT and a carrier's; both forget all bindings; audio both ways again."""
    alice.register()
    bob.register()
    call = alice.invite(bob.aor)
    leg = bob.expect_invite()
    leg.answer()
    assert call.established()
    assert leg.established()
    assert lab.talking(call, leg)
    before = lab.wire.traversal.sources_of("alice", seen_by="bob")

    for nat in ("nat1", "cgn"):
        lab.server(nat).do("flush-bindings")
    assert lab.wire.resumed("alice", "bob", before, within=BACK_WITHIN)
    assert lab.talking(call, leg)
    call.bye()
    assert leg.ended()

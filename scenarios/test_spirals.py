"""A request that comes back: with another Request-URI it is a spiral and goes on, else a loop and ends (RFC 3261 §16.3, RFC 5393)."""

import pytest

pytestmark = pytest.mark.lab(
    topology="trapezoid-3",
    needs={"carol": ["udp", "raw"], "dave": ["udp", "raw"], **{name: ["udp", "stateful-proxy"] for name in ("pa", "pt", "pb")}},
    about=["pa", "pt", "pb"],
)
HOPS = 14
"""Max-Forwards of a request that may loop: 7 forks in a row, so that proxies that notice nothing send 250 INVITEs and not 2**35."""
MOST = 40
"""INVITEs until the last loop is found: 31 where each of four addresses of record forks once on each path, and what is challenged."""


@pytest.mark.lab(needs={"alice": ["udp", "invite"]})
@pytest.mark.control("pa", "spiral-as-loop", expect="482")
def test_spiral_accept(lab, alice, carol, dave):
    """dave is registered at carol's address of record, so alice's call comes back to her proxy for carol: no 482, and it is answered."""
    alice.register()
    carol.register()
    dave.register(contact=carol.aor)

    call = alice.invite(dave.aor)
    leg = carol.incoming_or(call, within=8)
    forking = lab.wire.forking
    assert forking.kept_from("dave")
    assert forking.spirals("pa")
    assert leg is not None, "carol was not called"
    leg.answer()
    assert call.established()
    assert leg.established()
    assert lab.talking(call, leg)
    call.bye()
    assert leg.ended()
    assert call.ended()


@pytest.mark.control("pt", "hide-path", expect="INVITEs crossed the wires")
def test_loop_amplify(lab, alice, bob, carol, dave):
    """Two addresses of record of each domain are registered at both of the other's: the call ends with 482 or 483 before it has grown."""
    atlanta, biloxi = (alice, carol), (bob, dave)
    for user, registrar, others in ((alice, carol, biloxi), (bob, dave, atlanta), (dave, dave, atlanta), (carol, carol, biloxi)):
        for other in others:
            who = {"aor": user.aor, "username": user.identity.username, "password": user.identity.password}
            registrar.register(**who, contact=other.aor, max_forwards=HOPS)

    call = carol.invite(dave.aor)
    ended = call.ended(within=20)
    forking = lab.wire.forking
    assert forking.bounded(MOST)
    assert forking.kept_from("alice", "bob", "carol", "dave")
    assert lab.wire.signalling.final_response("INVITE", 482, 483, to="carol")
    assert ended

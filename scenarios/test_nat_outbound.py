"""Two flows to two edge proxies: when one dies, calls come down the other; when it is back, by it again (RFC 5626 §3 to §7)."""

import pytest

pytestmark = pytest.mark.lab(
    topology="nat-outbound",
    needs={
        "alice": ["udp", "invite"],
        "bob": ["invite", "outbound", "outbound-flows"],
        "pa": ["outbound"],
        "edge1": ["outbound"],
        "edge2": ["outbound"],
    },
    about=["bob", "pa"],
)

FAILOVER = 25
"""Seconds until a call has found its way past a dead edge: silence is one after a few, and TLS knows two addresses of it."""


NOTICED = 150
"""Seconds until a flow is found dead and formed anew: an unanswered keep-alive, and then 45 to 90 s by RFC 5626 §4.5."""
RETRIED = 200
"""Seconds until a flow is formed anew that is known to have failed: 45 to 90 s, and 90 to 180 s more where the edge was tried at once."""


def talk(lab, alice, bob, within):
    """A call from the public side with audio both ways; who brought it to bob."""
    call = alice.invite(bob.aor)
    leg = bob.expect_invite(within=within)
    leg.answer()
    assert call.established()
    assert leg.established()
    assert lab.talking(call, leg)
    call.bye()
    assert leg.ended()
    return lab.wire.outbound.carrier("bob")


def edge_is_back(lab, alice, bob, after):
    """edge1 runs again: bob forms his flow by it anew, and is called by it when edge2 is gone."""
    lab.wire.wait(
        lambda m: (
            m.frame > after.frame and (m.status, m.method) == (200, "REGISTER") and (m.src.element, m.dst.element) == ("edge1", "bob")
        ),
        within=RETRIED,
    )
    outbound = lab.wire.outbound
    assert outbound.formed_anew("bob", "edge1", after=after)
    assert outbound.names_flow("edge1", "pa")
    lab.stop("edge2")
    assert talk(lab, alice, bob, within=FAILOVER) == "edge1"
    outbound = lab.wire.outbound
    assert outbound.came_down("bob", "INVITE", "ACK", "BYE")
    assert outbound.one_flow_at_a_time("bob")


@pytest.mark.parametrize(
    "transport",
    [
        pytest.param(
            "udp",
            marks=[
                pytest.mark.lab(topology="nat-outbound", needs={"bob": ["udp"]}),
                pytest.mark.control("bob", "proxies=edge1/udp", expect="INVITE|call.incoming"),
            ],
        ),
        pytest.param(
            "tcp",
            marks=[
                pytest.mark.lab(topology="nat-outbound", needs={"bob": ["tcp"]}),
                pytest.mark.control("edge1", "no-flow-token", expect="439"),
            ],
        ),
        pytest.param(
            "tls",
            marks=[
                pytest.mark.lab(topology="nat-outbound", needs={"bob": ["tls"]}),
                pytest.mark.control("bob", "proxies=edge1/tls", expect="INVITE|call.incoming"),
            ],
        ),
    ],
)
def test_nat_outbound_failover(lab, alice, bob, transport):
    """A call comes down one of bob's two flows; its edge dies; the next call comes down the other, and both are heard."""
    alice.register()
    bob.register(transport=transport, flows=2)
    assert lab.wire.outbound.registered("bob", 1)
    first = talk(lab, alice, bob, within=8)
    lab.stop(first)
    second = talk(lab, alice, bob, within=FAILOVER)

    outbound = lab.wire.outbound
    assert outbound.registered("bob", 2)
    for edge in ("edge1", "edge2"):
        assert outbound.names_flow(edge, "pa")
    assert outbound.came_down("bob", "INVITE", "ACK", "BYE")
    assert outbound.one_flow_at_a_time("bob")
    assert {first, second} == {"edge1", "edge2"}


@pytest.mark.lab(topology="nat-outbound", needs={"bob": ["udp"]})
@pytest.mark.control("bob", "misbehave=no-keep-alive", expect="does not try to register by edge1 again")
def test_nat_outbound_recovery(lab, alice, bob):
    """Keep-alives over UDP tell bob that an edge is silent: he registers there again, as the same flow, and it returns."""
    alice.register()
    bob.register(transport="udp", flows=2)
    assert lab.wire.outbound.registered("bob", 2)
    lab.stop("edge1")
    assert talk(lab, alice, bob, within=FAILOVER) == "edge2"
    last = lab.wire.signalling[-1]
    lab.wire.wait(
        lambda m: m.frame > last.frame and m.method == "REGISTER" and (m.src.element, m.dst.element) == ("bob", "edge1"), within=NOTICED
    )
    assert lab.wire.outbound.tried_again("bob", "edge1", after=last)
    lab.start("edge1")
    edge_is_back(lab, alice, bob, after=last)


@pytest.mark.lab(topology="nat-outbound", needs={"bob": ["tcp"]})
@pytest.mark.control("bob", "misbehave=renumber-flows", expect="forms flow 3 of .* by edge1, which was flow 1")
def test_nat_outbound_recovered(lab, alice, bob):
    """An edge comes back: bob forms his flow by it anew, as the same one, and calls come by it when the other is gone."""
    alice.register()
    bob.register(transport="tcp", flows=2)
    assert lab.wire.outbound.registered("bob", 2)
    last = lab.wire.signalling[-1]
    lab.stop("edge1")
    lab.start("edge1")
    edge_is_back(lab, alice, bob, after=last)


@pytest.mark.lab(topology="nat-outbound", needs={"bob": ["tcp"]})
@pytest.mark.control("edge1", "dial-flows", expect="430")
def test_nat_outbound_flow_failed(lab, alice, bob):
    """Who is gone leaves two dead flows: each edge says so by 430, and the caller is told 480 (RFC 5626 §11.5)."""
    alice.register()
    bob.register(transport="tcp", flows=2)
    assert lab.wire.outbound.registered("bob", 2)
    lab.stop("bob")
    call = alice.invite(bob.aor)
    assert call.refused(within=FAILOVER)

    signalling = lab.wire.signalling
    for edge in ("edge1", "edge2"):
        assert signalling.between("pa", edge).response_to("INVITE", 430, to="pa")
    assert signalling.response_to("INVITE", 480, to="alice")
    assert signalling.never_answered("INVITE", 430, to="alice")

"""A path over three proxies: each stays in it, and the requests of the dialog take it too (RFC 3261 §16.6, §12.2.1.1)."""

import pytest


def everybody(*capabilities):
    """User agents need all of it, servers the transport, and to be proxies: a B2BUA leaves no Via."""
    return {
        "alice": list(capabilities),
        "bob": list(capabilities),
        **{name: [capabilities[0], "stateful-proxy"] for name in ("pa", "pt", "pb")},
    }


pytestmark = pytest.mark.lab(topology="trapezoid-3", needs={"alice": ["invite"], "bob": ["invite"]})


@pytest.mark.parametrize(
    ("transport", "media"),
    [
        pytest.param("udp", "rtp", id="udp+rtp", marks=pytest.mark.lab(needs=everybody("udp"))),
        pytest.param("tls", "sdes", id="tls+sdes", marks=pytest.mark.lab(needs=everybody("tls", "srtp-sdes"))),
    ],
)
@pytest.mark.control("pt", "no-record-route", expect="without pt in Record-Route")
def test_transit_call(lab, alice, bob, transport, media):
    """The domain is entered at its transit: Via and Record-Route of three proxies, audio both ways, and BYE on all four hops."""
    alice.register(transport=transport, media=media)
    bob.register(transport=transport, media=media)

    call = alice.invite(bob.uri(transport))
    leg = bob.expect_invite()
    leg.answer()
    assert call.established()
    assert leg.established()
    assert lab.talking(call, leg)
    call.bye()
    assert leg.ended()
    assert call.ended()

    wire = lab.wire
    assert wire.signalling.passed_through("pa", "pt", "pb")
    assert wire.signalling.record_routes_fit()
    assert wire.signalling.all_over(transport)
    assert wire.signalling.on_every_hop("BYE", "alice", "pa", "pt", "pb", "bob")
    assert wire.media.all_rtp() if media == "rtp" else wire.media.all_srtp()

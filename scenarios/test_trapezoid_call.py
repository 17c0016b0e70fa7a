"""The basic call: two domains, each behind its own proxy (RFC 3261 §4, RFC 3665 §3.2)."""

import pytest

pytestmark = pytest.mark.lab(topology=["trapezoid", "trapezoid-ipv6"], needs={"alice": ["invite"], "bob": ["invite"]})


def both(*capabilities):
    """Both user agents and both proxies need the transport, the user agents the rest."""
    proxies = {"pa": [capabilities[0]], "pb": [capabilities[0]]}
    return pytest.mark.lab(needs={"alice": list(capabilities), "bob": list(capabilities), **proxies})


@pytest.mark.parametrize(
    ("transport", "media"),
    [
        pytest.param("udp", "rtp", id="udp+rtp", marks=[both("udp"), pytest.mark.control("pb", "no-record-route", expect="Record-Route")]),
        pytest.param("tcp", "rtp", id="tcp+rtp", marks=[both("tcp"), pytest.mark.control("pa", "no-record-route", expect="Record-Route")]),
        pytest.param(
            "tls", "sdes", id="tls+sdes", marks=[both("tls", "srtp-sdes"), pytest.mark.control("pa", "forward-in-clear", expect="over udp")]
        ),
        pytest.param(
            "tls",
            "dtls",
            id="tls+dtls",
            marks=[
                both("tls", "srtp-dtls"),
                pytest.mark.control("alice", "misbehave=wrong-fingerprint", expect="hear|fingerprint|establ"),
            ],
        ),
    ],
)
def test_trapezoid_call(lab, alice, bob, transport, media):
    """A call crosses both proxies, each side hears the other, and the BYE ends it on every hop."""
    alice.register(transport=transport, media=media)
    bob.register(transport=transport, media=media)

    call = alice.invite(bob.uri(transport))
    leg = bob.expect_invite()
    leg.answer()
    assert call.established()
    assert lab.wire.signalling.record_routes_fit()
    assert leg.established()
    assert lab.talking(call, leg)
    call.bye()
    assert leg.ended()
    assert call.ended()

    wire = lab.wire
    assert wire.signalling.all_over(transport)
    assert wire.signalling.passed_through("pa", "pb")
    assert wire.signalling.on_every_hop("BYE")
    assert wire.media.all_rtp() if media == "rtp" else wire.media.all_srtp()

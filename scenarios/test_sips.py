"""A SIPS URI asks for TLS on every hop (RFC 5630 §3, RFC 3261 §26.2.2)."""

import pytest

pytestmark = pytest.mark.lab(
    topology=["trapezoid", "trapezoid-ipv6"], needs={"alice": ["tls", "sips", "invite"], "bob": ["invite"], "pa": ["tls"], "pb": ["tls"]}
)


@pytest.mark.lab(needs={"bob": ["tls", "sips"]})
@pytest.mark.control("pa", "forward-in-clear", expect="over udp")
def test_sips_every_hop(lab, alice, bob):
    """A call between SIPS addresses goes over TLS on every hop, its BYE too."""
    alice.register(transport="tls", aor=alice.sips)
    bob.register(transport="tls", aor=bob.sips)
    call = alice.invite(bob.sips)
    leg = lab.answered_or_refused(bob, call)
    signalling = lab.wire.signalling
    assert signalling.all_over("tls")
    assert signalling.record_routes_fit()
    assert call.established()
    assert leg.established()
    leg.bye()
    assert call.ended()

    signalling = lab.wire.signalling
    assert signalling.all_over("tls")
    assert signalling.passed_through("pa", "pb")
    assert signalling.on_every_hop("BYE")


@pytest.mark.lab(about=["pa", "pb"], needs={"bob": ["udp"]})
@pytest.mark.control("pa", "forward-in-clear", expect="to pb .* over udp")
def test_sips_downgrade(lab, alice, bob):
    """Whoever is registered without TLS cannot be reached by SIPS: refused, and no INVITE in clear (RFC 5630 §5.3)."""
    alice.register(transport="tls", aor=alice.sips)
    bob.register(transport="udp")
    call = alice.invite(bob.sips)
    lab.answered_or_refused(bob, call)
    refused = call.refused()

    signalling = lab.wire.signalling
    assert signalling.requests("INVITE").all_over("tls")
    assert refused
    assert signalling.final_response("INVITE", 400, 699, to="alice")

"""A host with two addresses, of which the IPv6 one is dead or missing: IPv4 is used (RFC 7984 §4, RFC 3263 §4.2)."""

import pytest

pytestmark = pytest.mark.lab(topology="rogue-dns")

TIMER_B = 32.0


def bury_ipv6(lab, dns, element, kind):
    """The element's host name gets an IPv6 address where nobody is, or none."""
    hostname = lab.plan.element(element).hostname
    if kind == "dead":
        dns.answer(hostname, "AAAA", str(lab.plan.networks[0].ipv6[0xDEAD]))
    else:
        dns.fault("no-data", hostname, "AAAA")


@pytest.mark.lab(about=["pa"], needs={"alice": ["udp", "invite"], "bob": ["udp", "invite"], "pa": ["udp", "srv", "invite"]})
@pytest.mark.control("pa", "pin-next-hop-ipv6", expect="not over IPv4")
@pytest.mark.parametrize("kind", ["dead", "missing"])
def test_dns_dual_stack(lab, dns, alice, bob, kind):
    """A proxy reaches the next one over IPv4, and a call comes about."""
    bury_ipv6(lab, dns, "pb", kind)
    alice.register()
    bob.register()
    call = alice.invite(f"{bob.aor};transport=udp")
    leg = bob.expect_invite(within=TIMER_B)
    leg.answer()
    assert call.established()

    assert lab.wire.signalling.reach("INVITE", "pa").over(4, "pb")
    assert dns.asked("pa", "*biloxi.example")


@pytest.mark.lab(about=["alice"], needs={"alice": ["udp", "srv", "ipv6"]})
@pytest.mark.control("pa", "silent", expect="register")
@pytest.mark.parametrize("kind", ["dead", "missing"])
def test_dns_dual_stack_ua(lab, dns, alice, kind):
    """A user agent that knows IPv6 registers over IPv4."""
    bury_ipv6(lab, dns, "pa", kind)
    alice.register(proxy="domain/udp", within=TIMER_B)

    assert lab.wire.signalling.reach("REGISTER", "alice").over(4, "pa")
    assert lab.wire.signalling.response_to("REGISTER", 200, to="alice")
    assert dns.asked("alice", "*atlanta.example")

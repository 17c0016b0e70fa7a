"""NAPTR decides the transport, SRV weights share the load (RFC 3263 §4.1 and §4.2, RFC 3403, RFC 2782)."""

from concurrent.futures import ThreadPoolExecutor

import pytest

pytestmark = pytest.mark.lab(topology="rogue-dns")

SERVICES = {"tls": ("SIPS+D2T", "_sips._tcp"), "tcp": ("SIP+D2T", "_sip._tcp"), "udp": ("SIP+D2U", "_sip._udp")}
WITHIN = 5.0
"""Seconds in which a proxy sends a message on, also one that has accepted it itself before (RFC 3428 §7)."""
REQUESTS = 200
HEAVY, LIGHT = range(154, 200), range(1, 47)
"""Of 200 requests at weights 90 : 10 the heavier target gets 180 ± 4.2. Fewer than 154 or all 200 come by chance in fewer than one of 10^6
runs; a client that ignores weights sends 100 ± 7.1."""


def prefer(dns, domain, *transports):
    """NAPTR records of the domain for these transports, in this order."""
    records = [f'{10 * n} 50 "s" "{SERVICES[t][0]}" "" {SERVICES[t][1]}.{domain}.' for n, t in enumerate(transports, 1)]
    dns.answer(domain, "NAPTR", *records)


def preferences(element, pins_udp, pins_tcp):
    """Each transport once the preferred one; the control makes the element take another one whatever the DNS says."""

    def preferred(first, others, how, taken):
        return pytest.param(first, others, id=first, marks=pytest.mark.control(element, how, expect=f"over {taken}"))

    return pytest.mark.parametrize(
        ("first", "others"),
        [
            preferred("tls", ("udp", "tcp"), pins_udp, "udp"),
            preferred("tcp", ("tls", "udp"), pins_udp, "udp"),
            preferred("udp", ("tls", "tcp"), pins_tcp, "tcp"),
        ],
    )


@pytest.mark.lab(about=["pa"], needs={"alice": ["udp", "message"], "pa": ["udp", "tcp", "tls", "naptr", "message"]})
@preferences("pa", "pin-next-hop", "pin-next-hop-tcp")
def test_dns_naptr(lab, dns, alice, first, others):
    """A proxy takes the transport that the domain's NAPTR records prefer."""
    prefer(dns, "biloxi.example", first, *others)
    alice.register()
    alice.message("sip:nobody@biloxi.example", "by which way?")
    lab.wire.wait(lambda m: m.is_request and m.method == "MESSAGE" and m.src.element == "pa", WITHIN, "MESSAGE")

    signalling = lab.wire.signalling
    assert signalling.reach("MESSAGE", "pa").over(4, "pb")
    assert signalling.hop_over("pa", "pb", first)


@pytest.mark.lab(about=["alice"], needs={"alice": ["udp", "tcp", "tls", "naptr"]})
@preferences("alice", "proxy=udp", "proxy=tcp")
def test_dns_naptr_ua(lab, dns, alice, first, others):
    """A user agent whose proxy is given as a domain takes the transport that the domain's NAPTR records prefer, whatever its own is."""
    prefer(dns, "atlanta.example", first, *others)
    alice.attempt_register(transport=others[0], proxy="domain", within=15)

    signalling = lab.wire.signalling
    assert signalling.hop_over("alice", "pa", first)
    assert signalling.response_to("REGISTER", 200, to="alice")


@pytest.mark.lab(about=["pa"], needs={"alice": ["udp", "message"], "pa": ["udp", "srv", "message", "stateful-proxy"]})
@pytest.mark.control("pa", "pin-next-hop", expect="200 to pb")
def test_dns_srv_weight(lab, dns, alice):
    """200 messages to a domain are shared between its two servers as their weights say, 90 to 10."""
    heavy, light = (lab.plan.element(name).hostname for name in ("pb", "pc"))
    prefer(dns, "biloxi.example", "udp")
    dns.answer("_sip._udp.biloxi.example", "SRV", f"10 90 5060 {heavy}.", f"10 10 5060 {light}.")
    alice.register()
    with ThreadPoolExecutor(4) as pool:
        sent = list(pool.map(lambda number: alice.message("sip:nobody@biloxi.example", f"number {number}", within=35), range(REQUESTS)))

    assert len(sent) == REQUESTS
    assert lab.wire.signalling.reach("MESSAGE", "pa").split({"pb": HEAVY, "pc": LIGHT}, of=REQUESTS)

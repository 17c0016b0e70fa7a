"""Forged DNS: over TLS the certificate tells, over UDP nothing does (RFC 3263 §4.1, RFC 5922 §4, RFC 3833 §2)."""

import pytest

pytestmark = pytest.mark.lab(topology="rogue-dns")


def point(lab, dns, owner, element, port):
    """From now on this SRV name leads to an element."""
    dns.answer(owner, "SRV", f"0 0 {port} {lab.plan.element(element).hostname}.")


@pytest.mark.lab(about=["pa"], needs={"alice": ["udp", "invite"], "pa": ["tls", "naptr", "srv", "invite"]})
@pytest.mark.control("pa", "forward-in-clear", expect="no TLS handshake")
def test_dns_spoof_tls(lab, dns, alice, mallory):
    """A forged SRV leads a proxy to an attacker with an honest certificate of another name: no byte of SIP passes."""
    point(lab, dns, "_sips._tcp.biloxi.example", "mallory", 5061)
    mallory.answer(603)
    alice.register()
    call = alice.invite("sip:bob@biloxi.example")
    refused = call.refused(within=35)

    wire = lab.wire
    assert wire.tls.attempted("pa", "mallory", port=5061)
    assert wire.signalling.no_sip_bytes("pa", "mallory")
    assert refused
    assert wire.signalling.final_response("INVITE", 400, 599, to="alice")


@pytest.mark.lab(about=["pa"], needs={"alice": ["udp", "invite"], "pa": ["udp", "srv", "invite"]})
@pytest.mark.control("pa", "pin-next-hop", expect="received no INVITE")
def test_dns_spoof_udp(lab, dns, alice, mallory):
    """The same over UDP: the attacker has the call with all that it says, and its domain's own proxy never hears of it."""
    point(lab, dns, "_sip._udp.biloxi.example", "mallory", 5060)
    mallory.answer(603)
    alice.register()
    call = alice.invite("sip:bob@biloxi.example;transport=udp")

    assert mallory.received("INVITE", within=10)
    assert call.ended(within=35)
    signalling = lab.wire.signalling
    assert signalling.carries_sdp("INVITE", source="pa", to="mallory")
    assert signalling.hop_over("pa", "mallory", "udp")
    assert signalling.kept_from("pb")
    assert signalling.final_response("INVITE", 400, 699, to="alice")


@pytest.mark.lab(about=["alice"], needs={"alice": ["tls", "srv", "tls-server-name"]})
@pytest.mark.control("alice", "misbehave=accept-any-certificate", expect="registered")
def test_dns_spoof_tls_ua(lab, dns, alice, mallory):
    """A forged SRV leads a user agent to an attacker with an honest certificate of another name: it does not register there."""
    point(lab, dns, "_sips._tcp.atlanta.example", "mallory", 5061)
    mallory.answer(200)
    outcome = alice.attempt_register(transport="tls", proxy="domain/tls", within=35)

    assert outcome.refused
    wire = lab.wire
    assert wire.tls.attempted("alice", "mallory", port=5061)
    assert wire.signalling.no_sip_bytes("alice", "mallory")


@pytest.mark.lab(about=["alice"], needs={"alice": ["udp", "srv"]})
@pytest.mark.control("alice", "proxy=udp", expect="received no REGISTER")
def test_dns_spoof_udp_ua(lab, dns, alice, mallory):
    """The same over UDP: the user agent believes that it is registered, and its domain has never heard of it."""
    point(lab, dns, "_sip._udp.atlanta.example", "mallory", 5060)
    mallory.answer(200)
    outcome = alice.attempt_register(proxy="domain/udp", within=35)

    assert mallory.received("REGISTER", within=1)
    assert outcome
    signalling = lab.wire.signalling
    assert signalling.hop_over("alice", "mallory", "udp")
    assert signalling.kept_from("pa", "REGISTER")


@pytest.mark.lab(about=["pa"], needs={"alice": ["udp", "invite"], "pa": ["udp", "srv", "invite"]})
@pytest.mark.control("pa", "pin-next-hop", expect="INVITE reached pb")
@pytest.mark.parametrize("where", ["self", "loopback"])
def test_dns_srv_self(lab, dns, alice, where):
    """A domain that leads a proxy to itself gets its caller a refusal, and is not asked for again and again."""
    own = where == "self"
    target = lab.plan.element("pa").hostname if own else "inside.biloxi.example"
    for service, port in (("_sips._tcp", 5061), ("_sip._tcp", 5060), ("_sip._udp", 5060)):
        dns.answer(f"{service}.biloxi.example", "SRV", f"0 0 {port} {target}.")
    if not own:
        dns.answer(target, "A", "127.0.0.1")
        dns.answer(target, "AAAA", "::1")
    alice.register()
    call = alice.invite("sip:bob@biloxi.example")
    refused = call.refused(within=40)

    signalling = lab.wire.signalling
    assert signalling.kept_from("pb")
    assert refused
    assert signalling.final_response("INVITE", 400, 599, to="alice")
    assert signalling.never_answered("INVITE", 483, to="alice")
    assert dns.asked("pa", "*biloxi.example", fewer_than=70)

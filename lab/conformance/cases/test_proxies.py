"""A proxy and registrar under test: pa, which serves alice's domain. Both user agents and pb are known to do their part."""

from __future__ import annotations

import base64
import secrets

import pytest

from lab.agents.user_agent import UserAgent
from lab.conformance.breach import insist
from lab.conformance.conversation import NAPTR, SRV, asked, connect, refused_as_absent, talk_both_ways
from lab.evidence.signalling import Signalling
from lab.session.lab import Lab

pytestmark = pytest.mark.lab(topology="trapezoid", needs={"alice": ["udp", "invite"], "bob": ["udp", "invite"]})

WITHIN = 8.0


@pytest.fixture(autouse=True)
def events_are_protocol() -> None:
    """Not here: the agents are not what is looked at, and may tell more than the contract."""


@pytest.mark.parametrize("who", ["nobody", "alice"])
def test_proxy_absent(lab: Lab, alice: UserAgent, bob: UserAgent, who: str) -> None:
    """A call to somebody who is unknown, or not registered, is refused 404 or 480 (RFC 3261 §16.5)."""
    assert bob.invite(alice.aor.replace("alice", who)).refused(within=20)
    refused_as_absent(lab, "pa", who)


@pytest.mark.lab(needs={"pb": ["stateful-proxy"]})
def test_proxy_call_out(lab: Lab, alice: UserAgent, bob: UserAgent) -> None:
    """alice's call finds bob's domain, both hear each other, and pa stays in the dialog (RFC 3261 §16.6)."""
    alice.register()
    talk_both_ways(lab, alice, bob)
    passed(lab, "alice", "pa", "pb")


@pytest.mark.lab(needs={"pb": ["stateful-proxy"]})
def test_proxy_call_in(lab: Lab, alice: UserAgent, bob: UserAgent) -> None:
    """A call from bob's domain finds alice, both hear each other, and pa stays in the dialog."""
    alice.register()
    talk_both_ways(lab, bob, alice)
    passed(lab, "bob", "pb", "pa")


def passed(lab: Lab, caller: str, *proxies: str) -> None:
    """Via, Record-Route and the end of the call are as they should be on every hop."""
    signalling = lab.wire.signalling
    assert signalling.passed_through(*proxies)
    assert signalling.on_every_hop("ACK")
    assert signalling.on_every_hop("BYE")
    challenged = signalling.responses(407, "INVITE").received_by(caller)
    insist("pa", "challenge", caller != "alice" or challenged, "alice's call was not challenged (RFC 3261 §22.3)")


def test_proxy_refusal(lab: Lab, alice: UserAgent, bob: UserAgent) -> None:
    """A refusal comes back as it was given, and is acknowledged on every hop (RFC 3261 §16.7)."""
    alice.register()
    call = alice.invite(bob.aor)
    bob.expect_invite().reject(486)
    assert call.ended()
    signalling = lab.wire.signalling
    answers = [m for m in signalling.responses(method="INVITE").received_by("alice") if (m.status or 0) >= 400 and m.status != 407]
    codes = ", ".join(str(m.status) for m in answers) or "none"
    insist("pa", "response", any(m.status == 486 for m in answers), f"486 reached alice as {codes}", *answers)
    assert signalling.on_every_hop("ACK")


def test_proxy_max_forwards(lab: Lab, alice: UserAgent, bob: UserAgent) -> None:
    """A request that may go no further is refused 483 and does not (RFC 3261 §16.3 step 3)."""
    opened = alice.client.request("raw.open", target=f"sip:{lab.plan.element('pa').ipv4}:5060;transport=udp")
    lines = (
        f"MESSAGE {bob.aor} SIP/2.0",
        f"Via: SIP/2.0/UDP {opened['local']};branch=z9hG4bK{secrets.token_hex(8)};rport",
        "Max-Forwards: 0",
        f"From: <{alice.aor}>;tag={secrets.token_hex(4)}",
        f"To: <{bob.aor}>",
        f"Call-ID: {secrets.token_hex(8)}",
        "CSeq: 1 MESSAGE",
        "Content-Length: 0",
    )
    alice.client.request("raw.send", raw=opened["raw"], data=base64.b64encode("\r\n".join((*lines, "", "")).encode()).decode())
    answers = lab.wire.wait(
        lambda m: m.status is not None and m.method == "MESSAGE" and m.src.element == "pa", within=WITHIN, about="answer"
    )
    codes = ", ".join(str(m.status) for m in answers) or "none"
    insist("pa", "max-forwards", any(m.status == 483 for m in answers), f"Max-Forwards 0 was not answered 483 (answers: {codes})", *answers)
    onward = lab.wire.signalling.requests("MESSAGE").sent_by("pa")
    insist("pa", "max-forwards", not onward, "a request with Max-Forwards 0 went further", *onward)


@pytest.mark.parametrize(
    "transport",
    [pytest.param(name, marks=pytest.mark.lab(needs={"alice": [name], "bob": [name], "pb": [name]})) for name in ("udp", "tcp", "tls")],
)
def test_proxy_hop(lab: Lab, alice: UserAgent, bob: UserAgent, transport: str) -> None:
    """Asked for a transport, pa takes it to the next proxy (RFC 3263 §4.1)."""
    alice.register(transport=transport)
    alice.invite(bob.uri(transport))
    assert onward(lab).all_over(transport)


def onward(lab: Lab) -> Signalling:
    """The INVITEs that pa sent to pb, as soon as there is one; StepFailed of pa where none comes."""
    sent = lab.wire.wait(
        lambda m: m.is_request and m.method == "INVITE" and (m.src.element, m.dst.element) == ("pa", "pb"), WITHIN, "INVITE"
    )
    insist("pa", "routing", sent, "sent no INVITE to the next proxy")
    return sent


@pytest.mark.lab(needs={"bob": ["tls"]})
def test_proxy_stranger(lab: Lab, alice: UserAgent, bob: UserAgent) -> None:
    """Who calls for another domain over TLS, with a certificate that is not that domain's, does not get through (RFC 5922 §7.3)."""
    insist("pa", "tls", "tls" in alice.identity.proxies, "declares no TLS, which every proxy must have (RFC 3261 §26.3.1)")
    alice.register()
    bob.overrides["proxy"] = alice.identity.proxies["tls"]
    bob.add_account(transport="tls")
    bob.invite(alice.aor).refused(within=20)
    signalling = lab.wire.signalling
    tried = signalling.requests("INVITE").sent_by("bob").received_by("pa")
    insist("bob", "invite", tried, "sent no INVITE to pa")
    passed = signalling.requests("INVITE").sent_by("pa").received_by("alice")
    insist(
        "pa",
        "certificate",
        not passed,
        "an INVITE of bob's domain was taken from bob himself, whose certificate is not the domain's",
        *passed,
    )


@pytest.mark.lab(needs={"pb": ["tls"]})
def test_proxy_wrong_name(lab: Lab, alice: UserAgent, bob: UserAgent) -> None:
    """A next hop whose valid certificate is another domain's gets not one byte of SIP (RFC 5922 §7.2)."""
    alice.register()
    alice.invite(bob.aor.replace("@", "@wrong-san.")).refused(within=20)
    wire = lab.wire
    assert wire.tls.attempted("pa", "pb", port=lab.fault_port("pb", "wrong-san"))
    check = wire.signalling.no_sip_bytes("pa", "pb")
    insist("pa", "certificate", check, check.what)


@pytest.mark.lab(needs={"pb": ["tls", "mtls"]})
def test_proxy_client_certificate(lab: Lab, alice: UserAgent, bob: UserAgent) -> None:
    """Asked by the next proxy, pa shows its domain's certificate (RFC 3261 §26.3.2.2)."""
    alice.register()
    call, leg = connect(alice, bob)
    call.bye()
    assert leg.ended()
    assert lab.wire.connections.client_certificate("pa", "pb")


@pytest.mark.lab(needs={"pb": ["udp", "tcp"]})
def test_proxy_naptr(lab: Lab, alice: UserAgent, bob: UserAgent) -> None:
    """The transport to another domain is the one that its NAPTR records put first, here TCP (RFC 3263 §4.1)."""
    alice.register()
    domain, name = bob.aor.partition("@")[2], fresh(bob)
    records = [f'{order} 50 "s" "SIP+D2{kind}" "" _sip._{kept}.{domain}.' for order, kind, kept in ((10, "T", "tcp"), (20, "U", "udp"))]
    lab.name_server.answer(name, "NAPTR", *records)
    alice.invite(f"sip:bob@{name}")
    sent = onward(lab)
    insist("pa", "naptr", name in asked(lab, "pa", NAPTR), "no NAPTR query")
    assert sent.all_over("tcp")


def test_proxy_srv(lab: Lab, alice: UserAgent, bob: UserAgent) -> None:
    """Another domain's proxy is where its SRV records say: the domain itself has no address (RFC 3263 §4.2)."""
    alice.register()
    name, proxy = fresh(bob), lab.plan.element("pb")
    for listener in proxy.listeners:
        if listener.hostname == proxy.hostname:
            prefix = "_sips._tcp" if listener.transport == "tls" else f"_sip._{listener.transport}"
            lab.name_server.answer(f"{prefix}.{name}", "SRV", f"10 10 {listener.port} {listener.hostname}.")
    alice.invite(f"sip:bob@{name}")
    onward(lab)
    insist("pa", "srv", any(found.lower().endswith(name) for found in asked(lab, "pa", SRV)), f"no SRV query for {name}")


def fresh(bob: UserAgent) -> str:
    """A domain below bob's that nobody has asked for: no cache can answer. pb does not serve it, and is asked all the same."""
    return f"{secrets.token_hex(4)}.{bob.aor.partition('@')[2]}"

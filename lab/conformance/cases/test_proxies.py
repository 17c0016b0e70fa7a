"""A proxy and registrar under test: pa, which serves alice's domain. Both user agents and pb are known to do their part."""

from __future__ import annotations

import base64
import secrets

import pytest

from lab.agents.user_agent import UserAgent
from lab.conformance.breach import hold, insist
from lab.conformance.conversation import NAPTR, SRV, asked, connect, talk_both_ways
from lab.errors import AgentError
from lab.session.lab import Lab

pytestmark = pytest.mark.lab(topology="trapezoid", needs={"alice": ["udp", "invite"], "bob": ["udp", "invite"]})

WITHIN = 8.0
NOT_THERE = (404, 480)
"""Whom nobody knows, and who is not reachable now (RFC 3261 §21.4.5, 21.4.18)."""


def identity(agent: UserAgent) -> dict[str, str]:
    """A subscriber, as control commands name one."""
    user, _, domain = agent.aor.removeprefix("sip:").partition("@")
    return {"user": user, "domain": domain}


def refused_by_pa(lab: Lab, about: str) -> None:
    """The call from bob was refused, by pa, as somebody's who is not there."""
    answers = [m for m in lab.wire.signalling.responses(method="INVITE").sent_by("pa") if (m.status or 0) >= 200]
    codes = ", ".join(str(m.status) for m in answers) or "none"
    insist("pa", "lookup", any(m.status in NOT_THERE for m in answers), f"{about}: no 404 or 480 (final responses: {codes})", *answers)


def test_proxy_version(lab: Lab) -> None:
    """The manifest's version command prints a version."""
    version = lab.version("pa")
    insist(
        "pa",
        "version",
        any(letter.isdigit() for letter in version),
        f"the version command prints {version!r}" if version else "the manifest names no version command",
    )


def test_proxy_flush(lab: Lab, alice: UserAgent, bob: UserAgent) -> None:
    """The control command `flush` removes a subscriber's bindings: who calls is told that nobody is there."""
    server = lab.server("pa")
    insist("pa", "flush", server.can("flush"), "the manifest names no control command flush")
    alice.register()
    server.do("flush", **identity(alice))
    assert bob.invite(alice.aor).refused(within=20)
    refused_by_pa(lab, "after flush")


def test_proxy_bindings(lab: Lab, alice: UserAgent) -> None:
    """The control command `bindings` prints the addresses that a subscriber is registered with, and nothing of them without any."""
    server = lab.server("pa")
    insist("pa", "bindings", server.can("bindings"), "the manifest names no control command bindings")
    alice.register()
    where = str(lab.plan.element("alice").ipv4)
    told = server.do("bindings", **identity(alice))
    insist("pa", "bindings", where in told, f"alice is registered from {where}, told is {told.strip()[:80]!r}")
    assert alice.unregister()
    told = server.do("bindings", **identity(alice))
    insist("pa", "bindings", where not in told, f"alice has unregistered, told is {told.strip()[:80]!r}")


def test_proxy_misbehave(lab: Lab) -> None:
    """`misbehave` is optional; where it is there, a name made up at random ends with an error, and `behave` ends all."""
    server = lab.server("pa")
    if server.can("misbehave"):
        insist("pa", "misbehave", server.can("behave"), "the manifest names misbehave, but no control command behave")
        try:
            server.misbehave(secrets.token_hex(6))
        except AgentError:
            server.behave()
            return
        hold("pa", "misbehave", ["a misbehaviour that was made up at random is accepted"])


def test_proxy_registration(lab: Lab, alice: UserAgent) -> None:
    """A registration is challenged, accepted with credentials, and answered with the contact and when it expires (RFC 3261 §10.3)."""
    alice.register()
    signalling = lab.wire.signalling
    challenges = signalling.responses(401, "REGISTER").sent_by("pa")
    insist(
        "pa", "challenge", challenges and challenges[0].header("WWW-Authenticate").startswith("Digest"), "no 401 with a Digest challenge"
    )
    for check in (signalling.authorized("REGISTER", source="alice"), signalling.binding_expires("alice")):
        insist("pa", "registration", check, check.what)


def test_proxy_wrong_password(lab: Lab, alice: UserAgent) -> None:
    """Who has not the password is not registered (RFC 3261 §22.4)."""
    alice.attempt_register(password=alice.identity.password[::-1], within=12)
    signalling = lab.wire.signalling
    tried = [m for m in signalling.requests("REGISTER").sent_by("alice") if m.header("Authorization")]
    insist("alice", "register", tried, "sent no credentials")
    accepted = signalling.responses(200, "REGISTER").sent_by("pa")
    insist("pa", "registration", not accepted, "a wrong password is accepted", *accepted)


@pytest.mark.parametrize("who", ["nobody", "alice"])
def test_proxy_absent(lab: Lab, alice: UserAgent, bob: UserAgent, who: str) -> None:
    """A call to somebody who is unknown, or not registered, is refused 404 or 480 (RFC 3261 §16.5)."""
    assert bob.invite(alice.aor.replace("alice", who)).refused(within=20)
    refused_by_pa(lab, who)


def test_proxy_call_out(lab: Lab, alice: UserAgent, bob: UserAgent) -> None:
    """alice's call finds bob's domain, both hear each other, and pa stays in the dialog (RFC 3261 §16.6)."""
    alice.register()
    talk_both_ways(lab, alice, bob)
    passed(lab, "alice", "pa", "pb")


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


def test_proxy_cancel(lab: Lab, alice: UserAgent, bob: UserAgent) -> None:
    """CANCEL is answered and goes on, and 487 comes back (RFC 3261 §9.2, 16.10)."""
    alice.register()
    call = alice.invite(bob.aor)
    leg = bob.expect_invite()
    leg.ring()
    assert call.ringing()
    call.cancel()
    sent = lab.wire.wait(lambda m: m.is_request and m.method == "CANCEL" and m.src.element == "alice", within=WITHIN, about="CANCEL")
    insist("alice", "cancel", sent, "sent no CANCEL")
    onward = lab.wire.wait(lambda m: m.is_request and m.method == "CANCEL" and m.src.element == "pa", within=WITHIN, about="CANCEL")
    insist("pa", "cancel", onward, "CANCEL went no further", *sent)
    assert leg.ended()
    assert call.ended()
    signalling = lab.wire.signalling
    for method, status in (("CANCEL", 200), ("INVITE", 487)):
        insist("pa", "cancel", signalling.response_to(method, status, to="alice"), f"no {status} to {method} reached alice")


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
    """Asked for a transport, pa takes it from alice and to the next proxy (RFC 3263 §4.1)."""
    alice.register(transport=transport)
    call = alice.invite(bob.uri(transport))
    leg = bob.expect_invite()
    leg.answer()
    assert call.established()
    call.bye()
    assert leg.ended()
    signalling = lab.wire.signalling
    assert signalling.hop_over("alice", "pa", transport)
    check = signalling.between("pa", "pb").requests("INVITE").all_over(transport)
    insist("pa", "transport", check, check.what)


@pytest.mark.lab(needs={"bob": ["tls"]})
def test_proxy_stranger(lab: Lab, alice: UserAgent, bob: UserAgent) -> None:
    """Who calls for another domain over TLS, with a certificate that is not that domain's, does not get through (RFC 5922 §7.3)."""
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
    domain = bob.aor.partition("@")[2]
    records = [f'{order} 50 "s" "SIP+D2{kind}" "" _sip._{name}.{domain}.' for order, kind, name in ((10, "T", "tcp"), (20, "U", "udp"))]
    lab.name_server.answer(domain, "NAPTR", *records)
    call, leg = connect(alice, bob)
    call.bye()
    assert leg.ended()
    insist("pa", "naptr", asked(lab, "pa", NAPTR), "no NAPTR query")
    check = lab.wire.signalling.between("pa", "pb").requests("INVITE").all_over("tcp")
    insist("pa", "naptr", check, check.what)


def test_proxy_srv(lab: Lab, alice: UserAgent, bob: UserAgent) -> None:
    """Another domain's proxy is where its SRV records say: the domain itself has no address (RFC 3263 §4.2)."""
    alice.register()
    call, leg = connect(alice, bob)
    call.bye()
    assert leg.ended()
    domain = bob.aor.partition("@")[2]
    names = asked(lab, "pa", SRV)
    insist("pa", "srv", any(name.rstrip(".").lower().endswith(domain) for name in names), f"no SRV query for {domain}")

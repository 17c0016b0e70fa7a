"""A SIP server under test, whatever its role: what all have to do, and what those do that user agents register with."""

from __future__ import annotations

import secrets

import pytest

from lab.agents.call import Call
from lab.agents.user_agent import UserAgent
from lab.conformance.breach import hold, insist
from lab.conformance.conversation import identity, refused_as_absent, renew, talk_both_ways
from lab.errors import AgentError
from lab.session.lab import Lab

UNDER_TEST = {"trapezoid": "pa", "sbc": "sbc", "pstn-gateway": "gw", "voicemail-ivr": "vm", "conference": "focus"}
"""Topology -> the server that its check is about."""
pytestmark = pytest.mark.lab(topology=list(UNDER_TEST), needs={"bob": ["udp", "invite"]})
REGISTRAR = pytest.mark.lab(topology=["trapezoid", "sbc"], needs={"alice": ["udp", "invite"]})
BORDER = pytest.mark.lab(topology=["sbc"], needs={"alice": ["udp", "invite"]})

WITHIN = 8.0
TEXT = "The rain in Spain: 100 % <tags> & \u00fcml\u00e4uts"
OPTIONS = """OPTIONS sip:{host} SIP/2.0\r
Via: SIP/2.0/{transport} {{local}};branch=z9hG4bK{token};rport\r
Max-Forwards: 70\r
From: <{aor}>;tag={token}\r
To: <sip:{host}>\r
Call-ID: {token}\r
CSeq: 1 OPTIONS\r
Content-Length: 0\r
\r
"""


@pytest.fixture(autouse=True)
def events_are_protocol() -> None:
    """Not here: the agents are not what is looked at, and may tell more than the contract."""


@pytest.fixture
def over() -> str:
    """The transport for cases that are about something else."""
    return "udp"


@pytest.fixture
def server(lab: Lab) -> str:
    """The element under test."""
    return UNDER_TEST[lab.plan.topology]


def test_server_version(lab: Lab, server: str) -> None:
    """The manifest's version command prints a version."""
    version = lab.version(server)
    insist(
        server,
        "version",
        any(letter.isdigit() for letter in version),
        f"the version command prints {version!r}" if version else "the manifest names no version command",
    )


@REGISTRAR
def test_server_flush(lab: Lab, server: str, alice: UserAgent, bob: UserAgent) -> None:
    """The control command `flush` removes a subscriber's bindings: who calls is told that nobody is there."""
    asked = lab.server(server)
    insist(server, "flush", asked.can("flush"), "the manifest names no control command flush")
    alice.register()
    asked.do("flush", **identity(alice))
    assert bob.invite(alice.aor).refused(within=20)
    refused_as_absent(lab, server, "after flush")


@REGISTRAR
def test_server_bindings(lab: Lab, server: str, alice: UserAgent) -> None:
    """The control command `bindings` prints the addresses that a subscriber is registered with, and nothing of them without any."""
    asked = lab.server(server)
    insist(server, "bindings", asked.can("bindings"), "the manifest names no control command bindings")
    alice.register()
    where = str(lab.plan.element("alice").ipv4)
    told = asked.do("bindings", **identity(alice))
    insist(server, "bindings", where in told, f"alice is registered from {where}, told is {told.strip()[:80]!r}")
    assert alice.unregister()
    told = asked.do("bindings", **identity(alice))
    insist(server, "bindings", where not in told, f"alice has unregistered, told is {told.strip()[:80]!r}")


def test_server_misbehave(lab: Lab, server: str) -> None:
    """`misbehave` is optional; where it is there, a name made up at random ends with an error, and `behave` ends all."""
    asked = lab.server(server)
    if asked.can("misbehave"):
        insist(server, "misbehave", asked.can("behave"), "the manifest names misbehave, but no control command behave")
        try:
            asked.misbehave(secrets.token_hex(6))
        except AgentError:
            asked.behave()
            return
        hold(server, "misbehave", ["a misbehaviour that was made up at random is accepted"])


@REGISTRAR
def test_server_registration(lab: Lab, server: str, alice: UserAgent) -> None:
    """A registration is challenged, accepted with credentials, and answered with the contact and when it expires (RFC 3261 §10.3)."""
    alice.register()
    signalling = lab.wire.signalling
    challenges = signalling.responses(401, "REGISTER").sent_by(server)
    insist(
        server, "challenge", challenges and challenges[0].header("WWW-Authenticate").startswith("Digest"), "no 401 with a Digest challenge"
    )
    for check in (signalling.authorized("REGISTER", source="alice"), signalling.binding_expires("alice")):
        insist(server, "registration", check, check.what)


@REGISTRAR
def test_server_wrong_password(lab: Lab, server: str, alice: UserAgent) -> None:
    """Who has not the password is not registered (RFC 3261 §22.4)."""
    alice.attempt_register(password=alice.identity.password[::-1], within=12)
    signalling = lab.wire.signalling
    tried = [m for m in signalling.requests("REGISTER").sent_by("alice") if m.header("Authorization")]
    insist("alice", "register", tried, "sent no credentials")
    accepted = signalling.responses(200, "REGISTER").sent_by(server)
    insist(server, "registration", not accepted, "a wrong password is accepted", *accepted)


@REGISTRAR
def test_server_cancel(lab: Lab, server: str, alice: UserAgent, bob: UserAgent) -> None:
    """CANCEL is answered and goes on, and 487 comes back (RFC 3261 §9.2, 16.10)."""
    alice.register()
    call = alice.invite(bob.aor)
    leg = bob.expect_invite()
    leg.ring()
    assert call.ringing()
    call.cancel()
    sent = lab.wire.wait(lambda m: m.is_request and m.method == "CANCEL" and m.src.element == "alice", within=WITHIN, about="CANCEL")
    insist("alice", "cancel", sent, "sent no CANCEL")
    onward = lab.wire.wait(lambda m: m.is_request and m.method == "CANCEL" and m.src.element == server, within=WITHIN, about="CANCEL")
    insist(server, "cancel", onward, "CANCEL went no further", *sent)
    assert leg.ended()
    assert call.ended()
    signalling = lab.wire.signalling
    for method, status in (("CANCEL", 200), ("INVITE", 487)):
        insist(server, "cancel", signalling.response_to(method, status, to="alice"), f"no {status} to {method} reached alice")


@pytest.mark.lab(needs={"alice": ["raw"]})
@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
def test_server_answers(lab: Lab, server: str, alice: UserAgent, transport: str) -> None:
    """A request gets a response over the transport that it came by, be it a refusal (RFC 3261 §18.2.2)."""
    plan = lab.plan.element(server)
    insist(server, "listener", transport in {each.transport for each in plan.listeners}, f"does not declare {transport}")
    own = plan.domain == alice.aor.partition("@")[2]
    text = OPTIONS.format(host=plan.hostname, transport=transport.upper(), aor=alice.aor, token=secrets.token_hex(6))
    alice.send_raw(text, proxy=transport if own else f"{server}/{transport}")
    answers = lab.wire.wait(
        lambda m: m.status is not None and m.method == "OPTIONS" and m.src.element == server, within=WITHIN, about="answer to OPTIONS"
    )
    insist(server, "answer", answers, f"no answer over {transport}")
    insist(server, "answer", answers.all_over(transport), f"answered over another transport than {transport}", *answers)


@BORDER
def test_server_call_out(lab: Lab, alice: UserAgent, bob: UserAgent) -> None:
    """Who is registered calls somebody behind the server, and both hear each other."""
    alice.register()
    talk_both_ways(lab, alice, bob)


@BORDER
def test_server_call_in(lab: Lab, alice: UserAgent, bob: UserAgent) -> None:
    """Somebody behind the server calls who is registered, and both hear each other."""
    alice.register()
    talk_both_ways(lab, bob, alice)


@BORDER
@pytest.mark.lab(needs={"alice": ["message"], "bob": ["message"]})
def test_server_message(lab: Lab, server: str, alice: UserAgent, bob: UserAgent) -> None:
    """A message from outside arrives inside as it was (RFC 3428)."""
    alice.register()
    sent = alice.message(bob.aor, TEXT)
    onward = lab.wire.wait(lambda m: m.is_request and m.method == "MESSAGE" and m.src.element == server, within=WITHIN, about="MESSAGE")
    insist(server, "message", onward, "MESSAGE went no further")
    assert bob.expect_message() == TEXT
    assert sent


@BORDER
@pytest.mark.lab(needs={"alice": ["ipv6"], "bob": ["ipv6"]})
def test_server_call_over_ipv6(lab: Lab, server: str, alice: UserAgent, bob: UserAgent) -> None:
    """A call through the server from who has registered over IPv6: outside, SIP and RTP over IPv6 both ways."""
    alice.register(family=6)
    renew(bob, transport="udp", family=6)
    talk_both_ways(lab, alice, bob)
    answers = lab.wire.signalling.responses(200, "INVITE").received_by("alice")
    insist(server, "ipv6", answers and all(":" in str(m.src.address) for m in answers), "SIP over IPv4", *answers)
    media = [flow for flow in lab.wire.media.from_(server) if flow.dst.element == "alice"]
    insist(server, "ipv6", media and all(":" in str(flow.src.address) for flow in media), "RTP over IPv4, or none")


@pytest.mark.lab(topology=["conference"], needs={"alice": ["udp", "invite", "dtmf-info"], "bob": ["dtmf-info"]})
def test_server_pin_by_info(lab: Lab, server: str, alice: UserAgent, bob: UserAgent) -> None:
    """Two who send the digits of a room's PIN by INFO are let in and hear each other (RFC 6086)."""
    alice.register()
    one, other = (entered_by_info(lab, server, user) for user in (alice, bob))
    assert lab.talking(one, other)


def entered_by_info(lab: Lab, server: str, user: UserAgent) -> Call:
    """A call to the room with a PIN, which was asked for and sent."""
    options = {name: str(value) for name, value in lab.plan.element(server).options.items()}
    call = user.invite("sip:vault@conf.example;transport=udp")
    call.established().required()
    assert lab.wire.says(server, user.name, float(options["ask_hz"]))
    call.dtmf(options["pin"], via="info")
    return call

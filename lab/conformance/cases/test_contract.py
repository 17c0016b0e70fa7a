"""The protocol itself, whatever the software behind it can do (docs/reference/agent-contract.md)."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

import pytest

from lab.agents.step import StepFailed
from lab.agents.user_agent import UserAgent
from lab.conformance.breach import Trial, bad_parameters, hold, refuse, unknown_ids
from lab.conformance.contract import MAX_LINE, VERSION
from lab.conformance.schema import result_schema, wrong
from lab.conformance.talk import Talk
from lab.session.lab import Lab
from lab.session.spare import Spare

pytestmark = pytest.mark.lab(topology="trapezoid", needs={"alice": []})

READY_WITHIN = 30.0
END_WITHIN = 5.0


@pytest.fixture
def spare(lab: Lab, alice: UserAgent) -> Iterator[Spare]:
    """Another container of the vendor under test."""
    made = lab.spare(alice.name)
    yield made
    made.remove()


@pytest.fixture
def talk(spare: Spare, alice: UserAgent) -> Talk:
    """A conversation with it, after its hello."""
    talk = Talk(alice.name, spare.channel)
    talk.request("hello", within=READY_WITHIN)
    return talk


@pytest.fixture
def valid(alice: UserAgent, bob: UserAgent, over: str) -> dict[str, object]:
    """A value of every required parameter, the account and the call among them real."""
    account = alice.add_account(transport=over)
    call = alice.client.request("call.invite", account=account, target=bob.aor)["call"]
    return {
        "account": account,
        "call": call,
        "aor": alice.aor,
        "username": "alice",
        "password": "secret",
        "proxy": alice.identity.proxies[over],
        "transport": over,
        "media": "rtp",
        "target": bob.aor,
        "contact": bob.aor,
        "code": 486,
        "digits": "1",
        "body": "hello",
        "package": "message-summary",
        "tone_hz": 440,
        "seconds": 1,
    }


def test_handshake(lab: Lab, alice: UserAgent) -> None:
    """hello tells contract, vendor, version and capabilities, and the capabilities are the manifest's."""
    hello = alice.client.request("hello")
    problem = wrong(result_schema("hello"), hello, "hello")
    hold("alice", "hello", [problem] if problem else [])
    told, declared = frozenset(hello["capabilities"]), lab.declares("alice")
    differences = [f"hello names {name}, the manifest does not" for name in sorted(told - declared)]
    differences += [f"the manifest names {name}, hello does not" for name in sorted(declared - told)]
    hold("alice", "hello", differences)
    assert hello["contract"] == VERSION


def test_unknown_methods(alice: UserAgent) -> None:
    """A method that was made up at random is unsupported."""
    names = (secrets.token_hex(8), f"call.{secrets.token_hex(4)}", "", "start", "__init__", "Hello")
    trials = [Trial(name, {}, "method", ("unsupported",)) for name in names]
    hold("alice", "unknown method", [breach for trial in trials if (breach := refuse(alice.client, trial))])


def test_bad_parameters(lab: Lab, alice: UserAgent, valid: dict[str, object]) -> None:
    """Every parameter of every method, missing or wrong, is bad-params, and the message names it."""
    trials = bad_parameters(valid, lab.declares("alice"))
    hold("alice", "bad parameters", [breach for trial in trials if (breach := refuse(alice.client, trial))])


def test_unknown_ids(lab: Lab, alice: UserAgent, valid: dict[str, object]) -> None:
    """A call or an account that is not there is told as such."""
    trials = unknown_ids(valid, lab.declares("alice"))
    hold("alice", "unknown ids", [breach for trial in trials if (breach := refuse(alice.client, trial))])


def test_reset(alice: UserAgent, valid: dict[str, object]) -> None:
    """reset ends the calls, exactly once each and before it is answered, and forgets the accounts."""
    alice.client.request("reset")
    ends = [e for e in alice.client.events.since(alice.began) if e.matches("call.state", call=valid["call"], state="terminated")]
    breaches = [] if len(ends) == 1 else [f"terminated was told {len(ends)} times when reset was answered"]
    trial = Trial("register", {"account": valid["account"]}, "account", ("unknown-account",))
    hold("alice", "reset", [*breaches, *filter(None, [refuse(alice.client, trial)])])


ODD = "X-Odd:  two blanks, a folded line\r\n and a bare word"
RAW = "\r\n".join(
    (
        "OPTIONS sip:biloxi.example SIP/2.0",
        "Via: SIP/2.0/UDP {local};branch=z9hG4bK-raw;rport",
        ODD,
        "From: <sip:alice@atlanta.example>;tag=raw",
        "To: <sip:biloxi.example>",
        "Call-ID: raw-{local}",
        "CSeq: 1 OPTIONS",
        "Content-Length: 0",
        "",
        "",
    )
)


def test_raw_bytes(lab: Lab, alice: UserAgent) -> None:
    """Bytes are on the wire as they were given, past the stack that would write them otherwise (capability `raw`)."""
    alice.send_raw(RAW)
    sent = lab.wire.wait(lambda m: m.method == "OPTIONS" and m.src.element == "alice", within=END_WITHIN, about="OPTIONS from alice")
    kept = [message for message in sent if ODD.encode() in message.raw]
    hold("alice", "raw", [] if kept else [f"sent {[message.raw for message in sent]}, not the bytes that were given"])


BROKEN = (b"not json", b"{", b'"text"', b"[]", b"\xff\xfe", b"{}", b'{"method":"hello"}', b"[" * 60_000, b"x" * (MAX_LINE + 1))


def test_broken_lines(talk: Talk) -> None:
    """Lines that are no request are answered with bad-params and survived, and nothing but protocol is on the output."""
    breaches = []
    for line in BROKEN:
        answer = talk.answer(None, talk.send(line), about=repr(line[:20]))
        if answer.get("error", {}).get("code") != "bad-params":
            breaches.append(f"{line[:20]!r}: answered {answer}")
    talk.request("hello")
    hold("alice", "broken lines", breaches)
    talk.nothing_wrong()


@pytest.mark.parametrize("how", ["shutdown", "end-of-input", "sigterm"])
def test_ends(spare: Spare, talk: Talk, alice: UserAgent, bob: UserAgent, over: str, how: str) -> None:
    """In the middle of a registration and a call it exits with 0 within 5 s."""
    who: dict[str, Any] = {"aor": alice.aor, "username": alice.identity.username, "password": alice.identity.password}
    where: dict[str, Any] = {"proxy": alice.identity.proxies[over], "transport": over, "media": "rtp"}
    account = talk.request("account.add", **who, **where).get("result", {}).get("account")
    talk.request("register", account=account)
    talk.request("call.invite", account=account, target=bob.aor)
    {"shutdown": lambda: talk.request("shutdown"), "end-of-input": spare.channel.close, "sigterm": spare.terminate}[how]()
    code = spare.exit_code(END_WITHIN)
    if code != 0:
        what = f"exit code {code}" if code is not None else f"still runs after {END_WITHIN:g} s"
        raise StepFailed(what, element=alice.name, step=how)
    talk.nothing_wrong()

"""What every agent keeps: the same tests on a fake and on the agent of every user-agent image (docs/reference/agent-contract.md).

Nobody answers what the software sends: what is held here is the protocol, whatever state the software is in.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

import pytest
from agent_driver import ANSWER_WITHIN, MAX_LINE, ROOT, Agent, Candidate, Containers, Processes

from lab.spec.catalog import vendors

UP_WITHIN = 20.0


def candidates() -> Iterator[Any]:
    yield pytest.param(Candidate("fake", "1", frozenset({"udp", "tcp", "invite", "cancel", "busy", "message"})), id="fake")
    for vendor in vendors(ROOT).values():
        for flavour in vendor.flavours if "user-agent" in vendor.roles else ():
            candidate = Candidate(vendor.name, flavour, vendor.playing("user-agent").capabilities_of(flavour), vendor)
            yield pytest.param(candidate, id=f"{vendor.name}@{flavour}", marks=pytest.mark.docker)


@pytest.fixture(scope="module", params=candidates())
def starter(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes | Containers]:
    candidate: Candidate = request.param
    made = Containers(candidate) if candidate.manifest else Processes(candidate, tmp_path_factory.mktemp("fake"))
    try:
        yield made
    finally:
        made.close()


def up(starter: Processes | Containers) -> Agent:
    agent = starter.start()
    try:
        agent.talk.result("hello", within=UP_WITHIN)
    except AssertionError as error:
        raise AssertionError(f"{error}\n{agent.log()}") from None
    return agent


@pytest.fixture(scope="module")
def kept(starter) -> Agent:
    """One agent for all tests that leave it running."""
    return up(starter)


@pytest.fixture
def agent(kept: Agent) -> Iterator[Agent]:
    """As after its start; after the test, nothing it ever wrote may be against the contract."""
    kept.talk.result("reset")
    yield kept
    assert kept.talk.wrong == []
    assert kept.talk.twice() == []


@pytest.fixture
def busy(starter) -> Agent:
    """An agent of its own, in the middle of a registration and a call."""
    agent = up(starter)
    agent.talk.result("register", account=agent.add())
    agent.talk.result("call.invite", account=agent.add(aor="sip:alice2@atlanta.example"), target="sip:bob@biloxi.example")
    return agent


# -- what it says -------------------------------------------------------------------------------------------------------------------------


def test_hello_says_who_it_is_and_what_the_manifest_says(agent):
    hello = agent.talk.result("hello")
    assert hello["contract"] == 1
    assert hello["vendor"] == agent.candidate.name
    assert hello["version"].strip()
    assert len(hello["capabilities"]) == len(set(hello["capabilities"]))
    assert set(hello["capabilities"]) == agent.candidate.capabilities


def test_a_method_made_up_is_unsupported(agent):
    for method in (secrets.token_hex(8), f"call.{secrets.token_hex(4)}", "", "start", "__init__", "account.add.x", "Hello"):
        assert agent.talk.error(method)[0] == "unsupported"


def test_members_that_it_does_not_know_are_ignored(agent):
    agent.talk.channel.send(b'{"method":"hello","more":[1],"id":"mine","params":{"colour":"red"}}')
    assert agent.talk.answer("mine")["result"]["contract"] == 1
    assert agent.add(colour="red")


WRONG_ACCOUNTS: list[tuple[str, object]] = [
    *((name, None) for name in ("aor", "username", "password", "proxy", "transport", "media")),
    *((name, wrong) for name in ("aor", "proxy", "transport", "media") for wrong in (7, "", ["x"], "nonsense", True)),
    *((name, wrong) for name in ("username", "password") for wrong in (7, {"x": 1}, "a\r\nb")),
    ("aor", "sip:a@b.example\r\nX: y"),
    *(("family", wrong) for wrong in (5, "4", True, 4.5)),
    *(("expires", wrong) for wrong in (0, -1, "300", True, 10**30)),
]


def test_account_parameters_are_checked_and_named(agent):
    for member, wrong in WRONG_ACCOUNTS:
        code, message = agent.talk.error("account.add", **agent.account(**{member: wrong}))
        assert (code, member in message) == ("bad-params", True), f"{member}={wrong!r}: {code}: {message}"
    assert agent.talk.error("register")[0] == "bad-params"
    assert agent.talk.error("register", account=agent.add(), expires=0)[0] == "bad-params"


WRONG_CALLS: list[tuple[str, str, dict[str, object]]] = [
    ("call.reject", "code", {}),
    *(("call.reject", "code", {"code": wrong}) for wrong in (200, 302, 299, 700, "486", True, 486.5)),
    *(("media.record", "seconds", wrong) for wrong in ({}, {"seconds": 0.1}, {"seconds": 31}, {"seconds": "1"}, {"seconds": True})),
    *(("media.play", "tone_hz", wrong) for wrong in ({}, {"tone_hz": -1}, {"tone_hz": "440"})),
    ("call.answer", "call", {"call": 7}),
    ("call.bye", "call", {"call": None}),
]


def test_call_parameters_are_checked_and_named(agent):
    call = agent.call()
    for method, member, params in WRONG_CALLS:
        code, message = agent.talk.error(method, **{"call": call, **params})
        assert (code, member in message) == ("bad-params", True), f"{method} {params}: {code}: {message}"
    account = agent.add(aor="sip:alice2@atlanta.example")
    for target in (None, 7, "", "bob", "sip:b@c.example\r\nX: y"):
        code, message = agent.talk.error("call.invite", account=account, target=target)
        assert (code, "target" in message) == ("bad-params", True), f"{target!r}: {code}: {message}"


WITH_ACCOUNT: list[tuple[str, dict[str, object]]] = [
    ("account.remove", {}),
    ("register", {}),
    ("unregister", {}),
    ("call.invite", {"target": "sip:bob@biloxi.example"}),
    ("message.send", {"target": "sip:bob@biloxi.example", "body": "hello"}),
]
WITH_CALL: list[tuple[str, str, dict[str, object]]] = [
    *((method, "invite", {}) for method in ("call.ring", "call.answer", "call.bye")),
    ("call.cancel", "cancel", {}),
    ("call.reject", "busy", {"code": 486}),
    ("call.reject", "reject-any", {"code": 603}),
    ("call.redirect", "redirect", {"contact": "sip:carol@chicago.example"}),
    ("call.hold", "hold", {}),
    ("call.resume", "hold", {}),
    ("call.refer", "refer", {"target": "sip:carol@chicago.example"}),
    ("call.dtmf", "dtmf-rfc4733", {"digits": "1"}),
    ("call.dtmf", "dtmf-info", {"digits": "1", "via": "info"}),
    ("media.play", "invite", {"tone_hz": 440}),
    ("media.record", "invite", {"seconds": 1}),
    ("stats", "invite", {}),
]


def test_unknown_ids_are_told_as_such(agent):
    for method, params in WITH_ACCOUNT:
        right = ("unknown-account",) if method != "message.send" or "message" in agent.candidate.capabilities else ("unsupported",)
        assert agent.talk.error(method, account="no-such", **params)[0] in right, method
    for method, needs, params in WITH_CALL:
        if needs in agent.candidate.capabilities:
            assert agent.talk.error(method, call="no-such", **params)[0] == "unknown-call", method


NEEDS: list[tuple[str, dict[str, object]]] = [
    *((transport, {"transport": transport}) for transport in ("udp", "tcp", "tls")),
    ("srtp-sdes", {"media": "sdes"}),
    ("srtp-dtls", {"media": "dtls"}),
    ("zrtp", {"media": "zrtp"}),
    ("ipv6", {"family": 6}),
    ("ice", {"ice": True}),
    ("stun", {"stun": "stun:198.18.0.9:3478"}),
    ("turn", {"turn": "turn:198.18.0.9:3478;transport=udp"}),
    ("outbound", {"outbound": True}),
    ("outbound-flows", {"outbound": True, "proxies": ["sip:e1.example:5060;transport=udp", "sip:e2.example:5060;transport=udp"]}),
]


def test_accounts_take_what_is_declared_and_nothing_else(agent):
    for capability, params in NEEDS:
        if capability in agent.candidate.capabilities:
            agent.talk.result("account.remove", account=agent.add(**params))
        else:
            assert agent.talk.error("account.add", **agent.account(**params))[0] == "unsupported", capability


def test_calls_do_what_is_declared_and_nothing_else(agent):
    call = agent.call()
    for method, needs, params in WITH_CALL:
        if needs not in agent.candidate.capabilities and needs != "hold":
            assert agent.talk.error(method, call=call, **params)[0] == "unsupported", f"{method} {params}"


# -- what it remembers --------------------------------------------------------------------------------------------------------------------


def test_a_removed_account_is_gone(agent):
    account = agent.add()
    agent.talk.result("account.remove", account=account)
    assert agent.talk.error("register", account=account)[0] == "unknown-account"
    assert agent.talk.error("account.remove", account=account)[0] == "unknown-account"
    assert agent.add()


def test_reset_forgets_accounts_and_ends_calls_before_it_is_answered(agent):
    start = len(agent.talk.heard)
    account = agent.add(aor="sip:alice2@atlanta.example")
    call = agent.call()
    assert agent.talk.result("stats")["calls"] == [call]
    answer = agent.talk.send("reset")
    agent.talk.answer(answer)
    told = agent.talk.heard.since(start)
    end = [i for i, e in enumerate(told) if e.matches("call.state", call=call, state="terminated")]
    assert len(end) == 1
    assert end[0] < next(i for i, e in enumerate(told) if e.matches("answer", id=answer))
    assert agent.talk.result("stats")["calls"] == []
    assert agent.talk.error("call.bye", call=call)[0] == "unknown-call"
    assert agent.talk.error("register", account=account)[0] == "unknown-account"


def test_an_id_is_used_after_the_answer_that_names_it(agent):
    start = len(agent.talk.heard)
    call = agent.call()
    agent.talk.heard.wait(lambda e: e.matches("call.state", call=call), within=ANSWER_WITHIN, start=start)
    first = next(e for e in agent.talk.heard.since(start) if call in (e.data.get("call"), e.data.get("result", {}).get("call")))
    assert first.name == "answer"
    assert any(e.matches("call.state", call=call, state="calling") for e in agent.talk.heard.since(start))


# -- what is thrown at it -----------------------------------------------------------------------------------------------------------------


def test_a_burst_is_answered_request_by_request(agent):
    kinds: list[tuple[str, dict[str, object]]] = [("hello", {}), ("stats", {}), ("no.such", {}), ("call.bye", {}), ("reset", {})]
    sent = [agent.talk.send(method, **params) for method, params in kinds * 10]
    assert len(sent) == 50
    answers = [agent.talk.answer(number) for number in sent]
    assert ["result" in answer for answer in answers] == [True, True, False, False, True] * 10


BROKEN: list[bytes] = [
    *(b"not json", b"{", b'"text"', b"42", b"null", b"[]", b'[{"id":1,"method":"hello"}]', b"\xff\xfe\x00", b"{}"),
    *(b'{"method":"hello"}', b'{"id":null,"method":"hello"}', b"1" * 5000, b"[" * 60_000, b"x" * (MAX_LINE + 1), b"{" * (3 * MAX_LINE)),
]
WRONG: list[bytes] = [b'{"id":%d}', b'{"id":%d,"method":7}', b'{"id":%d,"method":["hello"]}', b'{"id":%d,"method":"hello","params":[1]}']


def test_broken_requests_are_answered_and_survived(agent):
    for line in BROKEN:
        start = len(agent.talk.heard)
        agent.talk.channel.send(line)
        assert agent.talk.answer(None, start=start)["error"]["code"] == "bad-params", line[:40]
    for number, line in enumerate(WRONG, 900_001):
        agent.talk.channel.send(line % number)
        assert agent.talk.answer(number)["error"]["code"] == "bad-params", line
    assert agent.talk.result("hello")


def test_values_that_json_does_not_have_are_survived(agent):
    for line in (b'{"id":NaN,"method":"hello"}', b'{"id":1e999}', b'{"id":"\\ud800","method":"hello"}', b'{"id":{},"method":"hello"}'):
        agent.talk.channel.send(line)
    agent.talk.channel.send(b'{"id":900100,"method":"account.add","params":{"aor":NaN,"expires":1e999}}')
    assert agent.talk.answer(900_100)["error"]["code"] == "bad-params"
    assert agent.talk.result("hello")


# -- how it ends --------------------------------------------------------------------------------------------------------------------------


def test_shutdown_is_answered_and_ends_it(busy):
    assert busy.talk.result("shutdown") == {}
    assert busy.ended() == 0, busy.log()
    assert busy.talk.wrong == []


def test_end_of_input_ends_it(busy):
    busy.talk.channel.close()
    assert busy.ended() == 0, busy.log()
    assert busy.talk.wrong == []


def test_sigterm_ends_it(busy):
    busy.terminate()
    assert busy.ended() == 0, busy.log()
    assert busy.talk.wrong == []

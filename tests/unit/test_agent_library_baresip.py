"""The agents of baresip without baresip: its SIP trace, the dialects, the events of the binding; its manifest against what they declare."""

from __future__ import annotations

import importlib
import re
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import yaml

FOLDER = Path(__file__).parents[2] / "images/baresip"
OURS = [path.stem for path in FOLDER.glob("*.py")]


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], ModuleType]]:
    """Imports a module of the image; its neighbours are found, and all are forgotten afterwards. `baresip` is empty."""
    for folder in (FOLDER, FOLDER.parent / "shared/siptext", FOLDER.parent / "shared/agent"):
        monkeypatch.syspath_prepend(str(folder))
    binding: Any = ModuleType("baresip._native")
    binding.ffi = binding.lib = None
    monkeypatch.setitem(sys.modules, "baresip", ModuleType("baresip"))
    monkeypatch.setitem(sys.modules, "baresip._native", binding)
    yield importlib.import_module
    for name in OURS:
        sys.modules.pop(name, None)


TRACE = """ua: noise
[0:00:01] audio=0/0 (bit/s)\r\x1b[36;1m#
UDP 198.18.48.10:5060 -> 198.18.48.13:5060
SIP/2.0 200 OK\r
v: SIP/2.0/UDP 198.18.48.13:5060;branch=z9hG4bK0\r
To: <sip:alice@atlanta.example>;tag=b\r
i: 3ca1aa883c1271ac\r
CSeq: 64483 REGISTER\r
Contact: <sip:alice-0x1@198.18.48.13:5060>;expires=120\r
Expires: 300\r
\r
\x1b[;m
\x1b[36;1m#
TLS [2001:db8::13]:40000 -> [2001:db8::10]:5061
MESSAGE sip:bob@biloxi.example SIP/2.0\r
Call-ID: x\r
CSeq: 1 MESSAGE\r
\r
body: not a header
last\x1b[;m
"""


def test_messages_are_read_out_of_other_output(load: Callable[[str], ModuleType]) -> None:
    seen: list[Any] = []
    reader = load("siptrace").TraceReader(("198.18.48.13", "2001:db8::13"), seen.append)
    for line in TRACE.split("\n"):
        reader.feed(line)
    answer, request = seen
    assert (answer.sent, answer.code, answer.reason, answer.method) == (False, 200, "OK", "REGISTER")
    assert (answer.call_id, answer.expires) == ("3ca1aa883c1271ac", 120)
    assert (request.sent, request.code, request.method, request.call_id) == (True, 0, "MESSAGE", "x")
    assert "body" not in request.headers


class Commands:
    """A control connection that notes what it is asked."""

    def __init__(self, answer: str = "") -> None:
        self.asked: list[str] = []
        self.answer = answer

    def command(self, name: str, params: str = "", **_options: Any) -> str:
        self.asked.append(f"{name} {params}".strip())
        return self.answer


def a_call(answered: bool = True, **extra: Any) -> Any:
    account = SimpleNamespace(aor="sip:alice@atlanta.example", media="rtp", id="a1")
    return SimpleNamespace(id="c1", native="x1", account=account, answered=answered, extra=extra)


def test_baresip_1_1_is_told_which_call(load: Callable[[str], ModuleType]) -> None:
    commands = Commands("call uri: …\ncall id: 7f\n")
    speaks = load("dialect").dialect("1.1.0-3")(commands)
    assert speaks.dial(a_call().account, 2, "sip:bob@biloxi.example") == "7f"
    speaks.ask(a_call(), "hold")
    assert speaks.clear()
    assert commands.asked == ["dial sip:bob@biloxi.example 2", "hold x1", "hangupall", "uadelall"]


def test_a_dial_that_1_1_refuses_is_told_as_such(load: Callable[[str], ModuleType]) -> None:
    from siplab_agent import Refused

    with pytest.raises(Refused, match="dial: no such"):
        load("dialect").dialect("1.1.0-3")(Commands("no such")).dial(a_call().account, 0, "sip:bob@biloxi.example")


def test_baresip_1_0_is_led_to_the_call_first(load: Callable[[str], ModuleType]) -> None:
    commands = Commands()
    speaks = load("dialect").dialect("1.0.0-4+b3")(commands)
    assert speaks.dial(a_call().account, 2, "sip:bob@biloxi.example") == ""
    speaks.ask(a_call(answered=False), "accept")
    speaks.ask(a_call(), "hangup")
    user = "uafind sip:alice@atlanta.example"
    assert commands.asked == [user, "dial sip:bob@biloxi.example", user, "accept", user, "callfind x1", "hangup"]


def test_baresip_1_0_has_one_contact_in_its_life(load: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch) -> None:
    from siplab_agent import BadState

    commands, module = Commands(), load("dialect")
    monkeypatch.setattr(module, "write_contact", lambda target: None)
    speaks = module.dialect("1.0.0-4+b3")(commands)
    for _ in range(2):
        speaks.address("sip:bob@biloxi.example")
    with pytest.raises(BadState, match="have been sip:bob"):
        speaks.address("sip:carol@biloxi.example")
    assert commands.asked == ["insmod contact", "contact_next"]


@pytest.mark.parametrize(("told", "allowed"), [("sendonly", "recvonly"), ("recvonly", "sendonly"), ("inactive", "inactive")])
def test_what_1_0_leaves_out_comes_from_the_trace(load: Callable[[str], ModuleType], told: str, allowed: str) -> None:
    speaks = load("dialect").dialect("1.0.0-4+b3")(Commands())
    event = speaks.complete({"type": "CALL_REMOTE_SDP", "param": "answer"}, a_call(peer_direction=told))
    assert (event["remoteaudiodir"], event["answers"]) == (allowed, True)
    assert speaks.complete({"param": "offer"}, a_call())["answers"] is False


class Wire:
    """Where events go."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []

    def event(self, event: dict[str, Any]) -> None:
        self.events.append(event)


@pytest.fixture
def agent(load: Callable[[str], ModuleType]) -> Any:
    """The listening half of the binding's agent, with an account and a call out, which has handle 3 and Call-ID x1."""
    module = load("binding_events")
    from siplab_agent import Account, Call

    agent = module.BindingEvents(SimpleNamespace(tone_hz=440), Wire())
    account = Account("a1", "sip:alice@atlanta.example", "alice", "x", "sip:198.18.0.2", "udp", "rtp", 4, 300)
    account.native = module.Binding(agents=[SimpleNamespace(handle=1)])
    agent.accounts["a1"] = account
    agent.calls["c1"] = Call("c1", account, incoming=False, state="calling", extra={"handle": 3})
    agent.later = []
    agent.after = lambda seconds, job: agent.later.append(job)
    return agent


def tell(agent: Any, name: str, text: str = "", call: int = 3, ua: int = 1) -> None:
    agent.on_event(SimpleNamespace(event=SimpleNamespace(name=name), call=call, ua=ua, text=text, peer="sip:b@b.example", call_id="x1"))


def trace(agent: Any, sent: bool, *lines: str) -> None:
    agent.on_message(importlib.import_module("siptext").Message.parse(sent, [*lines, "Call-ID: x1", ""]))


def told(agent: Any, *members: str) -> list[tuple[Any, ...]]:
    return [tuple(event.get(name) for name in members) for event in agent._wire.events if members[0] in event]


def test_an_event_waits_for_the_code_that_the_trace_has(agent: Any) -> None:
    tell(agent, "CALL_RINGING")
    assert not told(agent, "state")
    trace(agent, False, "SIP/2.0 183 Session Progress", "CSeq: 1 INVITE")
    agent.later.pop()()
    tell(agent, "CALL_ESTABLISHED")
    trace(agent, True, "SIP/2.0 200 OK", "CSeq: 2 BYE")
    tell(agent, "CALL_CLOSED", "Connection reset by peer [104]")
    assert told(agent, "state", "code") == [("ringing", 183), ("established", 200), ("terminated", 200)]
    assert not agent.later


def test_a_refusal_has_its_code_and_a_fault_none(agent: Any) -> None:
    tell(agent, "CALL_CLOSED", "486 Busy Here")
    assert told(agent, "state", "code", "reason") == [("terminated", 486, "Busy Here")]


def test_hold_is_told_when_our_offer_is_answered(agent: Any) -> None:
    tell(agent, "CALL_ESTABLISHED")
    agent.calls["c1"].extra.update(hold=True, wanted="held")
    tell(agent, "CALL_REMOTE_SDP", "answer")  # to an earlier offer
    assert told(agent, "state") == [("established",)]
    tell(agent, "CALL_LOCAL_SDP", "offer")
    tell(agent, "CALL_REMOTE_SDP", "answer")
    assert told(agent, "state") == [("established",), ("held",)]
    assert told(agent, "direction") == [("sendrecv",), ("sendonly",)]


def test_only_an_outcome_that_is_awaited_is_told(agent: Any) -> None:
    tell(agent, "REGISTER_OK", "200 OK")  # a refresh
    assert not told(agent, "account")
    agent.accounts["a1"].native.awaiting = "registered"
    tell(agent, "REGISTER_FAIL", "Protocol error [71]", ua=9)  # somebody else's
    tell(agent, "REGISTER_FAIL", "Protocol error [71]")
    assert told(agent, "account", "state", "code", "reason") == [("a1", "failed", None, "Protocol error [71]")]


@pytest.mark.parametrize(("flavour", "source"), [("1.0", "agent.py"), ("1.1", "agent.py"), ("4.10", "binding.py")])
def test_the_manifest_declares_what_the_agent_declares(load: Callable[[str], ModuleType], flavour: str, source: str) -> None:
    manifest = yaml.safe_load((FOLDER / "vendor.yaml").read_text())
    chosen = manifest["flavours"][flavour]
    declared = {*manifest["supports"], *chosen.get("supports_add", [])} - {*chosen.get("supports_remove", [])}
    text = (FOLDER / source).read_text()
    block = text[text.index("capabilities = frozenset(") :]
    lacks = load("dialect").dialect(flavour).lacks
    assert declared == set(re.findall(r'"([a-z0-9-]+)"', block[: block.index("    )\n")])) - lacks


def test_a_refusal_of_ours_is_told_when_it_is_sent(agent: Any) -> None:
    call = agent.calls["c1"]
    call.incoming, call.state, call.native = True, "ringing", "x1"
    agent.closing(call)
    assert not told(agent, "state")
    trace(agent, True, "SIP/2.0 486 Rejected", "CSeq: 1 INVITE")
    tell(agent, "CALL_CLOSED", "")
    assert told(agent, "state", "code", "source") == [("terminated", 486, "log")]


def test_what_an_account_line_cannot_hold_is_refused(load: Callable[[str], ModuleType]) -> None:
    from siplab_agent import Account, BadParams

    account = Account("a1", "sip:a@b", "a", "x", "sip:p", "udp", "rtp", 4, 300, turn_username="u", turn_password="p;q")
    with pytest.raises(BadParams, match="turn_password"):
        load("settings").account_line(account, 0)


def test_a_connection_that_is_closed_tells_nothing_any_more(load: Callable[[str], ModuleType]) -> None:
    """Its reader waits for data, and to close a socket wakes nobody."""
    module, heard = load("control"), []
    with socket.create_server(("127.0.0.1", 0)) as server:
        control = module.Control(server.getsockname()[1], heard.append)
        baresip, _ = server.accept()
        control.close()
        assert not control._reader.is_alive()
        baresip.close()
    assert heard == []

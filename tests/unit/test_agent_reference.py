"""The reference user agent's agent: what it knows beyond the contract, and what it says to wrong values."""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

IMAGES = Path(__file__).parents[2] / "images"
sys.path[:0] = [str(IMAGES / "shared" / "agent"), str(IMAGES / "reference")]

from siplab_agent import BadParams, BadState, UnknownAccount, UnknownCall  # noqa: E402
from siplab_reference.agent import CAPABILITIES  # noqa: E402
from siplab_reference.extensions import MAX_RAW, Extensions  # noqa: E402

from lab.sip.mwi import Mailbox  # noqa: E402
from lab.sip.session_timer import Policy  # noqa: E402


class Channel:
    """A raw channel that remembers what it is given."""

    local = ("2001:db8::1", 40123)

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def send(self, data: bytes) -> None:
        self.sent.append(data)


class Agent:
    """As much of an agent as the extensions use."""

    def __init__(self) -> None:
        self.calls: dict[str, Any] = {}
        self.accounts: dict[str, Any] = {"a1": SimpleNamespace(native="native")}
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.wrong: list[str] = []
        self.filled: list[tuple[Any, Mailbox]] = []
        self.channel = Channel()
        self.ua = SimpleNamespace(misbehave=self.wrong.append, fill=lambda *what: self.filled.append(what), raw=self.raw)

    def raw(self, target: object, received: Any, closed: Any) -> Channel:
        self.received, self.closed = received, closed
        return self.channel

    def new_id(self, prefix: str) -> str:
        return f"{prefix}1"

    def emit(self, event: str, **members: Any) -> None:
        self.told.append((event, members))


@pytest.fixture
def agent() -> Agent:
    return Agent()


@pytest.fixture
def extensions(agent: Agent) -> Extensions:
    return Extensions(agent)  # type: ignore[arg-type]


def test_hello_says_what_the_manifest_says():
    manifest = yaml.safe_load((IMAGES / "reference" / "vendor.yaml").read_text())
    assert set(manifest["supports"]) == CAPABILITIES


def test_members_of_an_account_are_read_anew_for_each(agent, extensions):
    extensions.read_account({"require": "100rel, timer", "min_se": 5, "misbehave": "drop-ack,late-ack"})
    assert extensions.account["require"] == {"100rel", "timer"}
    assert extensions.account["session"] == Policy(1800, 5)
    assert agent.wrong == ["drop-ack", "late-ack"]
    extensions.read_account({})
    assert (extensions.account["require"], extensions.account["session"]) == (frozenset(), Policy())


@pytest.mark.parametrize(
    "params",
    [
        {"require": "path"},
        {"require": 7},
        {"session_expires": 0},
        {"session_expires": "90"},
        {"min_se": True},
        {"contact": ""},
        {"max_forwards": 256},
        {"early_media": 1},
        {"misbehave": "be-evil"},
        {"misbehave": ""},
    ],
)
def test_wrong_members_of_an_account_are_named(extensions, params):
    (name,) = params
    with pytest.raises(BadParams, match=f"account.add: {name} must be"):
        extensions.read_account(params)


@pytest.mark.parametrize(
    ("method", "params", "error"),
    [
        ("misbehave", {}, BadParams),
        ("misbehave", {"name": "be-evil"}, BadParams),
        ("call.update", {}, BadParams),
        ("call.update", {"call": "c9"}, UnknownCall),
        ("mailbox.set", {"account": "a9"}, UnknownAccount),
        ("mailbox.set", {"account": "a1", "new": -1}, BadParams),
        ("raw.open", {"target": "http://x"}, BadParams),
        ("raw.send", {"data": "?", "raw": "w1"}, BadParams),
        ("raw.send", {"data": base64.b64encode(b"x" * (MAX_RAW + 1)).decode(), "raw": "w1"}, BadParams),
        ("raw.send", {"data": "eA==", "raw": "w9"}, BadState),
        ("raw.send", {"data": "eA=="}, BadParams),
    ],
)
def test_wrong_parameters_of_its_methods(extensions, method, params, error):
    with pytest.raises(error):
        extensions.methods[method](params)


def test_update_is_a_matter_of_what_the_other_side_allows_and_of_offers_under_way(agent, extensions):
    updates = []
    native = SimpleNamespace(
        dialog=SimpleNamespace(allowed=frozenset({"INVITE"})),
        changes=SimpleNamespace(offers=SimpleNamespace(refusal=lambda: None)),
        update=lambda: updates.append(1),
    )
    agent.calls["c1"] = SimpleNamespace(id="c1", native=native)
    with pytest.raises(BadState, match="allows UPDATE"):
        extensions.methods["call.update"]({"call": "c1"})
    native.dialog.allowed = frozenset({"UPDATE"})
    assert extensions.methods["call.update"]({"call": "c1"}) == {}
    native.changes.offers.refusal = lambda: 491
    with pytest.raises(BadState, match="offer waits"):
        extensions.methods["call.update"]({"call": "c1"})
    assert updates == [1]


def test_a_mailbox_is_filled(agent, extensions):
    assert extensions.methods["mailbox.set"]({"account": "a1", "new": 2}) == {}
    assert agent.filled == [("native", Mailbox(2, 0))]


def test_raw_bytes_go_out_and_what_comes_is_told(agent, extensions):
    opened = extensions.methods["raw.open"]({"target": "sip:[2001:db8::2]:5060;transport=udp"})
    assert opened == {"raw": "w1", "local": "[2001:db8::1]:40123"}
    assert extensions.methods["raw.send"]({"raw": "w1", "data": base64.b64encode(b"\xff\0").decode()}) == {"raw": "w1"}
    assert agent.channel.sent == [b"\xff\0"]
    agent.received(b"\0answer")
    agent.closed("closed")
    agent.closed("closed")
    assert agent.told == [
        ("raw.received", {"raw": "w1", "data": base64.b64encode(b"\0answer").decode()}),
        ("raw.closed", {"raw": "w1", "reason": "closed"}),
    ]
    assert json.dumps(agent.told)
    with pytest.raises(BadState):
        extensions.methods["raw.send"]({"raw": "w1", "data": "eA=="})


def test_raw_send_with_a_target_opens_a_channel(agent, extensions):
    assert extensions.methods["raw.send"]({"target": "sip:pa.example:5060;transport=tcp", "data": "eA=="})["raw"] == "w1"
    assert agent.channel.sent == [b"x"]

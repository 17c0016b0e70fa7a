"""The contract as data is the contract as written, and what the agent library keeps."""

from __future__ import annotations

import importlib
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from lab.cli import siplab
from lab.conformance.contract import ERRORS, EVENTS, METHODS, NEEDS, RESULTS, VERSION, Member
from lab.conformance.probes import PROXY_CONTRACT, SUBJECTS
from lab.conformance.schema import contract_json_schema, event_schema, members_schema, request_schema, wrong, wrong_line
from lab.spec.capability import CAPABILITIES

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs/reference/agent-contract.md").read_text("utf-8")


def table(heading: str) -> list[list[str]]:
    part = TEXT.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in part.splitlines() if line.startswith("| `")]


def names(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def members(cell: str) -> dict[str, bool]:
    """Name -> is it required, of a cell like ``account`, `code`? (text)``."""
    return {name: mark != "?" for name, mark in re.findall(r"`([a-z_]+)`(?: `[^`]*`(?: / `[^`]*`)*)?(\??)", re.sub(r"\([^)]*\)", "", cell))}


def required(given: dict[str, Member]) -> dict[str, bool]:
    return {name: member.required for name, member in given.items()}


def test_the_methods_are_the_documents() -> None:
    rows = [(name, row) for row in table("Methods") for name in names(row[0])]
    assert {name for name, _ in rows} == set(METHODS)
    for name, row in rows:
        written = members(row[1])
        if name == "account.add":
            continue
        if name in ("call.invite", "call.dtmf", "message.send"):  # the cell goes on with values of the last member
            written = {key: value for key, value in written.items() if key in METHODS[name]}
        assert written == required(METHODS[name]), name


def test_the_parameters_of_an_account_are_the_documents() -> None:
    text = TEXT.split("\n`account.add`:", 1)[1].split("Adding does not", 1)[0]
    for name, member in METHODS["account.add"].items():
        assert f"`{name}`{'' if member.required else '?'}" in text


def test_the_events_are_the_documents() -> None:
    rows = {names(row[0])[0]: row[1] for row in table("Events")}
    assert set(rows) == set(EVENTS)
    for name, cell in rows.items():
        written = {key: value for key, value in members(cell).items() if key in EVENTS[name]}
        assert written == required(EVENTS[name]), name


def test_results_are_the_documents() -> None:
    rows = {name: row[2] for row in table("Methods") for name in names(row[0])}
    for name, result in RESULTS.items():
        assert {key for key, member in result.items() if member.required} <= set(names(rows[name])), name
    assert {name for name, cell in rows.items() if cell.startswith("`")} == set(RESULTS)


def test_errors_and_states_are_the_documents() -> None:
    assert [name for row in table("Error codes") for name in names(row[0])] == list(ERRORS)
    for state in EVENTS["call.state"]["state"].schema["enum"]:
        assert f"`{state}`" in TEXT


def test_what_every_proxy_does_is_the_documents() -> None:
    assert [name for row in table("Proxies") for name in names(row[0])] == list(PROXY_CONTRACT)


def test_what_every_other_server_does_is_the_documents() -> None:
    told = {names(row[0])[0]: names(row[1]) for row in table("Other servers")}
    assert told == {role: list(subject.contract) for role, subject in SUBJECTS.items() if role not in ("user-agent", "proxy")}


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(sys, "path", [str(ROOT / "images/shared/agent"), *sys.path])
    return importlib.import_module("siplab_agent.contract")


VALUES: list[Any] = [
    *("", "x", "a b", "a\r\nb", "sip:b@c.example", "tel:+1", "sip:b@c\r\nX: y", "mailto:x", "5#1", "5" * 33, "E"),
    *("udp", "rtp", "info", "early", True, False, [], ["x"], {}),
    *("stun:h:3478", "stun:h", "turn:h:3478;transport=udp", "turn:h:3478", "turn:h:3478;transport=sctp"),
    *(0, 1, -1, 4, 5, 6, 299, 302, 399, 400, 486, 699, 700, 3800, 3801, 86400, 86401, 0.1, 0.2, 30, 30.5, 486.5),
]


def test_the_agent_library_takes_the_same_values(library: Any) -> None:
    assert library.VERSION == VERSION
    assert set(library.METHODS) == set(METHODS)
    for method, params in library.METHODS.items():
        ours = METHODS[method]
        assert {name: (p.required, p.default) for name, p in params.items()} == {n: (m.required, m.default) for n, m in ours.items()}, (
            method
        )
        for name, param in params.items():
            for value in VALUES:
                assert bool(param.check(value)) == bool(wrong(ours[name].schema, value)), f"{method} {name}={value!r}"


def test_the_schema_is_printed() -> None:
    done = CliRunner().invoke(siplab, ["vendor", "schema"])
    assert json.loads(done.output) == contract_json_schema()
    references = re.findall(r'"#/\$defs/([^"]+)"', done.output)
    assert set(references) <= set(contract_json_schema()["$defs"])


def test_needs_name_methods_and_capabilities() -> None:
    assert set(NEEDS) <= set(METHODS)
    assert set(NEEDS.values()) <= set(CAPABILITIES)


EVENT = {"event": "call.state", "t": 1.5, "source": "native", "call": "c1", "state": "ringing"}


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b'{"id":1,"result":{}}', ""),
        (b'{"id":null,"error":{"code":"bad-params","message":"no id"}}', ""),
        (json.dumps({**EVENT, "code": None, "more": 1}).encode(), ""),
        (b"Segmentation fault", "not JSON"),
        (b"[1]", "no JSON object"),
        (b"1" * 70_000, "70000 bytes"),
        (b'{"result":{}}', "id is missing"),
        (b'{"id":1,"result":{},"error":{"code":"vendor","message":"x"}}', "fits 2"),
        (b'{"id":1,"error":{"code":"oops","message":"x"}}', "error.code must be one of"),
        (json.dumps({**EVENT, "event": "call.mood"}).encode(), "unknown event"),
        (json.dumps({**EVENT, "state": "happy"}).encode(), "call.state.state must be one of"),
        (json.dumps({**EVENT, "t": "now"}).encode(), "call.state.t must be of type number"),
        (json.dumps({**EVENT, "code": 7}).encode(), "from 100 to 699"),
        (b'{"event":"fault","t":1.0,"source":"native"}', "what is missing"),
    ],
)
def test_lines_are_judged(line: bytes, problem: str) -> None:
    found = wrong_line(line)
    assert problem in found
    assert bool(found) == bool(problem)


def test_requests_and_defaults() -> None:
    assert not wrong(request_schema("call.bye"), {"id": 1, "method": "call.bye", "params": {"call": "c1"}})
    assert wrong(request_schema("call.bye"), {"id": 1, "method": "call.bye"}) == "params is missing"
    assert not wrong(request_schema("hello"), {"id": "x", "method": "hello"})
    assert members_schema(METHODS["call.invite"])["properties"]["offer"]["anyOf"][0]["default"] == "early"
    assert event_schema("fault")["required"] == ["event", "t", "source", "what"]

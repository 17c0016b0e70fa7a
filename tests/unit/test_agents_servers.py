"""Name server and attacker in a scenario's hand: the calls, against the real name server's control and an attacker of the test's own."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import dns.message
import pytest
from test_agents_client import Pipe, client, ok

from lab.agents.attacker import Attacker
from lab.agents.client import AgentClient
from lab.agents.name_server import NameServer
from lab.errors import AgentError

sys.path.insert(0, str(Path(__file__).parents[2] / "images" / "siplab-dns"))

from siplab_dns.control import Control, event
from siplab_dns.faults import FaultBook
from siplab_dns.server import Answerer
from siplab_dns.zones import Zones

ZONE = "$ORIGIN biloxi.example.\n$TTL 5\n@ IN SOA ns h 1 60 60 600 3\n@ IN NS ns\npb IN A 198.18.96.21\n"


class Names:
    """A name server without sockets."""

    def __init__(self, folder: Path) -> None:
        (folder / "biloxi.example.zone").write_text(ZONE)
        self.answerer = Answerer(Zones.load(folder), FaultBook(hosts={"pa": ["198.18.96.20"]}), self._told)
        control = Control(self.answerer, ["biloxi.example"], lambda: None)
        self._pipe = Pipe(lambda request: [control.handle(json.dumps(request).encode())])
        self.hand = NameServer(AgentClient("dns", self._pipe), {"pa": {"198.18.96.20"}, "alice": {"198.18.96.30", "2001:db8::30"}})

    def _told(self, seen: Any) -> None:
        self._pipe.push(event("fault.struck", **seen._asdict()))

    def ask(self, name: str, rdtype: str = "A", client: str = "198.18.96.30") -> dns.message.Message | None:
        sent = self.answerer.reply(dns.message.make_query(name, rdtype).to_wire(), False, (client, 40000)).wire
        return dns.message.from_wire(sent) if sent else None


@pytest.fixture
def names(tmp_path: Path) -> Names:
    return Names(tmp_path)


def test_a_fault_is_set_struck_told_and_lifted(names: Names) -> None:
    fault = names.hand.fault("drop", "*biloxi.example", source="pa")
    assert names.ask("pb.biloxi.example") is not None
    assert not names.hand.struck(fault, within=0.05, by="pa")
    assert names.ask("pb.biloxi.example", client="198.18.96.20") is None
    assert names.hand.struck(fault, within=2, by="pa").what == "asked for A of pb.biloxi.example"
    other = names.hand.struck(fault, within=0.05, by="alice")
    assert (bool(other), other.element, other.what) == (False, "alice", "asked for none of it within 0.05 s")
    assert [(query.client, query.rcode) for query in names.hand.queries(fault=fault)] == [("198.18.96.20", None)]
    names.hand.clear(fault)
    assert names.ask("pb.biloxi.example", client="198.18.96.20") is not None


def test_an_answer_of_the_scenarios_own(names: Names) -> None:
    names.hand.answer("pb.biloxi.example", "A", "198.18.96.99", "198.18.96.98")
    found = names.ask("pb.biloxi.example")
    assert found is not None
    assert {rdata.address for rrset in found.answer for rdata in rrset} == {"198.18.96.99", "198.18.96.98"}
    names.hand.answer("pb.biloxi.example", "A")
    found = names.ask("pb.biloxi.example")
    assert found is not None
    assert not found.answer


def test_who_asked_and_how_often(names: Names) -> None:
    fault = names.hand.fault("nxdomain", "pb.*")
    for _ in range(3):
        names.ask("pb.biloxi.example", client="2001:db8::30")
    assert names.hand.asked("alice", "*biloxi.example", fault=fault)
    assert names.hand.asked("alice", "PB.*", fewer_than=4)
    for wrong in (
        names.hand.asked("pa", "*biloxi.example"),
        names.hand.asked("alice", "*atlanta.example"),
        names.hand.asked("alice", "*biloxi.example", fault="f99"),
        names.hand.asked("alice", "*biloxi.example", fewer_than=3),
    ):
        assert not wrong
    assert (wrong.element, wrong.what) == ("alice", "asked 3 times for *biloxi.example")
    with pytest.raises(KeyError):
        names.hand.asked("nobody", "*")


def test_all_queries_are_told_however_many(names: Names) -> None:
    for number in range(450):
        names.ask(f"n{number}.biloxi.example" if number % 2 else "pb.biloxi.example", "A")
    assert len(names.hand.queries()) == 450
    assert len(names.hand.queries("PB.biloxi.example")) == 225


def test_a_new_scenario_knows_nothing_of_the_last(names: Names) -> None:
    fault = names.hand.fault("drop")
    names.ask("pb.biloxi.example")
    assert names.hand.struck(fault, within=2, by="alice")
    names.hand.reset()
    assert not names.hand.struck(fault, within=0.05, by="alice")
    assert names.hand.queries() == []
    assert names.ask("pb.biloxi.example") is not None


def test_a_wrong_fault_names_the_member(names: Names) -> None:
    with pytest.raises(AgentError, match="seconds: is no parameter of drop"):
        names.hand.fault("drop", seconds=1)


def test_the_attacker_is_told_and_tells() -> None:
    asked: list[dict[str, Any]] = []

    def answer(request: dict[str, Any]) -> list[dict[str, Any]]:
        asked.append(request)
        return ok(request)

    agent, pipe = client(answer)
    attacker = Attacker(agent)
    attacker.answer(503, "INVITE")
    attacker.answer(None)
    assert [request["params"] for request in asked] == [{"code": 503, "methods": ["INVITE"]}, {"code": None, "methods": []}]
    assert not attacker.received("INVITE", within=0.05)
    pipe.push({"event": "request.received", "method": "INVITE", "transport": "udp"})
    assert attacker.received("INVITE", within=2).what == "received INVITE over udp"
    attacker.reset()
    assert not attacker.received("INVITE", within=0.05)

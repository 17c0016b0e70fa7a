"""What a scenario can name: next hops, and whom a failure is about."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from types import SimpleNamespace

import pytest
from render_plan import trapezoid

from lab.agents import step
from lab.agents.step import Outcome
from lab.plan.model import Element, Interface, Plan
from lab.session.failure import classify, forget
from lab.session.lab import Lab, proxy_uris, trunk_ends


def test_next_hops_by_transport_fault_address_and_proxy() -> None:
    plan = trapezoid()
    found = proxy_uris(plan, plan.element("alice"))
    own, other = plan.element("pa"), plan.element("pb")
    assert found["tcp"] == f"sip:{own.hostname}:5060;transport=tcp"
    assert found["address/wrong-san"] == f"sip:{own.ipv4}:5071;transport=tls"
    assert found["pb/udp"] == f"sip:{other.hostname}:5060;transport=udp"
    assert (found["pa/tcp"], found["pa/address/wrong-san"]) == (found["tcp"], found["address/wrong-san"])
    assert found["pb/address/tls"] == f"sip:{other.ipv4}:5061;transport=tls"


def test_a_user_agent_enters_by_the_first_edge() -> None:
    plan = trapezoid()
    domains = tuple(replace(domain, edges=("pb",)) if domain.name == "atlanta.example" else domain for domain in plan.domains)
    found = proxy_uris(replace(plan, domains=domains), plan.element("alice"))
    assert found["tcp"] == found["pb/tcp"] == f"sip:{plan.element('pb').hostname}:5060;transport=tcp"
    assert found["pa/tcp"] == f"sip:{plan.element('pa').hostname}:5060;transport=tcp"


def test_a_request_that_never_left_is_asked_of_who_was_told_to_send_it() -> None:
    forget()
    step.told("bob", "call.bye")
    step.told("alice", "media.record")
    with pytest.raises(AssertionError) as raised:
        assert Outcome(False, "not terminated", "alice", "ended", trace="BYE")
    failure = classify(raised.value)
    assert (failure.element, failure.sender) == ("alice", "bob")
    forget()
    assert step.sender("BYE") == ""


def test_a_code_is_told_rightly_or_not_at_all() -> None:
    refused = Outcome(True, "terminated", "alice", "ended", code=480, trace="BYE")
    assert refused.coded(404, 480)
    assert Outcome(True, "terminated", "alice", "ended").coded(404)
    wrong = refused.coded(404)
    assert not wrong
    assert (wrong.what, wrong.trace) == ("terminated with 480, should be 404", "")


def test_what_should_have_failed_tells_that_it_did_not() -> None:
    silent = Outcome(False, "no final response", "alice", "message", trace="MESSAGE")
    assert silent.failed
    accepted = Outcome(True, "202 Accepted", "alice", "message", trace="MESSAGE").failed
    assert (bool(accepted), accepted.what, accepted.trace) == (False, "202 Accepted, should have failed", "MESSAGE")


def test_a_telephone_network_calls_its_gateway_on_the_network_that_they_share() -> None:
    def element(name: str, role: str, *places: str) -> Element:
        interfaces = tuple(Interface(net, IPv4Address(f"198.18.{net}.{len(name)}"), IPv6Address("2001:db8::1")) for net in places)
        return Element(name, role, "acme", "1", interfaces, f"{name}.example")

    elements = (element("gw", "gateway", "0"), element("gw2", "gateway", "0", "1"), element("trunk", "trunk", "1"))
    plan = Plan("t", "", 1, (), (), elements, ())
    assert trunk_ends(plan, elements[2]) == ("198.18.1.5", "sip:198.18.1.3:5060;transport=udp")


def test_who_misleads_others_is_reset_before_them(tmp_path: Path) -> None:
    plan, order = trapezoid(), []
    driven = ("alice", "bob", "dns")
    agents = {name: SimpleNamespace(element=name, events=[], reset=lambda name=name: order.append(name)) for name in driven}
    server = SimpleNamespace(reset=lambda: order.append("server"), flush=lambda *_: order.append("flush"))
    capture = SimpleNamespace(mark=lambda *_, **__: order.append("mark"), transactions=lambda _: frozenset())
    bench = SimpleNamespace(plan=plan, agents=agents, servers={"pa": server, "pb": server}, capture=capture, lap=lambda: None)
    Lab(bench, "some", tmp_path / "cell").begin()  # type: ignore[arg-type]
    assert order[0] == "dns"
    assert sorted(order[1:3]) == ["alice", "bob"]
    assert order[3:] == ["server", "server", "flush", "flush", "mark"]

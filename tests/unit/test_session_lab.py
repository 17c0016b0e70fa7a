"""What a scenario can name: next hops, and whom a failure is about."""

from __future__ import annotations

from render_plan import trapezoid

from lab.agents import step
from lab.agents.step import Outcome
from lab.session.failure import classify, forget
from lab.session.lab import proxy_uris


def test_next_hops_by_transport_fault_address_and_proxy() -> None:
    plan = trapezoid()
    found = proxy_uris(plan, plan.element("alice"))
    own, other = plan.element("pa"), plan.element("pb")
    assert found["tcp"] == f"sip:{own.hostname}:5060;transport=tcp"
    assert found["address/wrong-san"] == f"sip:{own.ipv4}:5071;transport=tls"
    assert found["pb/udp"] == f"sip:{other.hostname}:5060;transport=udp"
    assert found["pb/address/tls"] == f"sip:{other.ipv4}:5061;transport=tls"


def test_a_request_that_never_left_is_asked_of_who_was_told_to_send_it() -> None:
    forget()
    step.told("bob", "call.bye")
    step.told("alice", "media.record")
    assert not Outcome(False, "not terminated", "alice", "ended", trace="BYE")
    failure = classify(AssertionError())
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

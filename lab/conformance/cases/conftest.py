"""The elements as fixtures, as in scenarios/; and what every case needs."""

from __future__ import annotations

import pytest

from lab.agents.user_agent import UserAgent
from lab.conformance.breach import hold
from lab.conformance.schema import wrong_message
from lab.session.lab import Lab


@pytest.fixture
def alice(lab: Lab) -> UserAgent:
    """The user agent under test, or the one that uses the proxy under test."""
    return lab.user_agent("alice")


@pytest.fixture
def bob(lab: Lab) -> UserAgent:
    """The other side: a vendor that is known to do what its manifest says."""
    return lab.user_agent("bob")


@pytest.fixture
def over(lab: Lab) -> str:
    """The transport for cases that are about something else: the first that alice and her proxy declare."""
    return next((name for name in ("udp", "tcp", "tls") if name in lab.declares("alice") & lab.declares("pa")), "udp")


@pytest.fixture(autouse=True)
def peer_lives(lab: Lab, bob: UserAgent, over: str) -> None:
    """The peer registers first. So every case has something on the wire, and one that fails does not fail for want of a peer."""
    bob.register(transport=over)


@pytest.fixture(autouse=True)
def events_are_protocol(alice: UserAgent) -> object:
    """After every case: each event that the agent told has the members and values of the contract."""
    yield
    if alice.client.dead is None:
        problems = [wrong_message(event.data) for event in alice.client.events.since(alice.began)]
        hold("alice", "events", [problem for problem in problems if problem])

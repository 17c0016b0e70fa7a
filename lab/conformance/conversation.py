"""What many probes do on the way to what they are about: a call that both sides hear."""

from __future__ import annotations

from typing import Any

from lab.agents.call import Call
from lab.agents.user_agent import UserAgent
from lab.conformance.breach import hold
from lab.session.lab import Lab

NAPTR, SRV = 35, 33
"""DNS types (RFC 3403, 2782)."""


def connect(caller: UserAgent, callee: UserAgent, **options: str) -> tuple[Call, Call]:
    """A call that the callee has answered: both legs."""
    call = caller.invite(callee.aor, **options)
    leg = callee.expect_invite()
    leg.answer()
    call.established().required()
    leg.established().required()
    return call, leg


def talk_both_ways(lab: Lab, caller: UserAgent, callee: UserAgent, **options: str) -> None:
    """A call from one to the other, tones heard on both sides, ended by the caller; told once each."""
    call, leg = connect(caller, callee, **options)
    assert lab.talking(call, leg)
    call.bye()
    assert leg.ended()
    assert call.ended()
    for side in (call, leg):
        states = side.states()
        told = [f"{state} was told {states.count(state)} times" for state in ("established", "terminated") if states.count(state) != 1]
        hold(side.element, "call states", told)


def renew(agent: UserAgent, **account: Any) -> None:
    """Another account in place of the registered one, whose binding would make every call ring twice."""
    agent.unregister()
    agent.register(**account)


def asked(lab: Lab, element: str, kind: int) -> list[str]:
    """The names that an element asked the DNS for, of one type."""
    return [
        name
        for query in lab.wire.dns
        if not query.response and query.src.element == element and kind in query.qtypes
        for name in query.names
    ]

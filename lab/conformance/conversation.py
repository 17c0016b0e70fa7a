"""What many probes do on the way to what they are about: a call that both sides hear."""

from __future__ import annotations

from typing import Any

from lab.agents.call import Call
from lab.agents.user_agent import UserAgent
from lab.conformance.breach import hold, insist
from lab.session.lab import Lab

NAPTR, SRV = 35, 33
"""DNS types (RFC 3403, 2782)."""
NOT_THERE = (404, 480)
"""Whom nobody knows, and who is not reachable now (RFC 3261 §21.4.5, 21.4.18)."""


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


def identity(agent: UserAgent) -> dict[str, str]:
    """A subscriber, as control commands name one."""
    user, _, domain = agent.aor.removeprefix("sip:").partition("@")
    return {"user": user, "domain": domain}


def refused_as_absent(lab: Lab, server: str, about: str) -> None:
    """StepFailed of the server where it did not refuse the call as one to somebody who is not there."""
    answers = [m for m in lab.wire.signalling.responses(method="INVITE").sent_by(server) if (m.status or 0) >= 200]
    codes = ", ".join(str(m.status) for m in answers) or "none"
    insist(server, "lookup", any(m.status in NOT_THERE for m in answers), f"{about}: no 404 or 480 (final responses: {codes})", *answers)

"""Whose fault it is, from who last had the message.

A user agent that times out is seldom the culprit: the message may have died on the way. Following the traced method through the
captured hops finds the element that received it and did not pass it on, or that gave the refusing answer first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Hop:
    """One SIP message on one hop, reduced to what blame needs.

    `status` is None for a request. `astray`: a request within a dialog that asks for another than the remote target (RFC 3261 §12.2.1.1).
    `flaw` is what makes it no SIP.
    """

    frame: int
    source: str
    destination: str
    method: str
    status: int | None = None
    astray: bool = False
    flaw: str = ""
    call_id: str = ""


@dataclass(frozen=True)
class Culprit:
    """An element and the packet that shows it; `frame` is 0 where the proof is that there is no packet."""

    element: str
    frame: int
    why: str


CHALLENGES = (401, 407)
TIMEOUT = 408


def trace(hops: Sequence[Hop], method: str, sender: str) -> Culprit:
    """Who stopped `method`, which `sender` was to send and somebody waited for in vain. `hops` are in the order of their times.

    A request that was astray from the start names who made it. Then the refusal that was sent first (a final response from 300 on that is
    no challenge) names its sender; a 408 of who passed the request on and heard nothing names who was silent. Otherwise the last element
    to receive the request without sending it on or answering it, unless it was malformed: then its sender. No request at all: the one
    who should have sent it.
    """
    mine = [hop for hop in hops if hop.method == method]
    if method == "REGISTER":  # each user agent sends its own, and no server changes the Call-ID
        own = {hop.call_id for hop in mine if hop.source == sender and hop.status is None}
        mine = [hop for hop in mine if hop.call_id in own]
    if not mine:
        return Culprit(sender, 0, f"no {method} from {sender} on the wire")
    for hop in mine:
        if hop.astray:
            return Culprit(hop.source, hop.frame, f"the {method} from {hop.source} asks for no Contact of its dialog (RFC 3261 §12.2.1.1)")
    for hop in mine:
        if hop.status is not None and hop.status >= 300 and hop.status not in CHALLENGES:
            silent = _silent(mine[: mine.index(hop)], hop.source) if hop.status == TIMEOUT else None
            if silent:
                return Culprit(silent.destination, silent.frame, f"{silent.method} reached {silent.destination}, which did not answer")
            return Culprit(hop.source, hop.frame, f"{hop.status} to {method} from {hop.source}")
    requests = [hop for hop in mine if hop.status is None]
    if not requests:
        return Culprit(sender, 0, f"no {method} request on the wire")
    return _where_it_stopped(mine, requests[-1])


def _silent(hops: Sequence[Hop], asking: str) -> Hop | None:
    """The last request of `asking` that got no final answer, or that who received it had sent on in its turn, and so on: of proxies that
    wait equally long the first may give up first, though it is the last that was next to the silent one.
    """
    asked = [n for n, hop in enumerate(hops) if hop.status is None and hop.source == asking and not _answered(hops[n:])]
    if not asked:
        return None
    last = hops[asked[-1]]
    return _silent(hops[asked[0] + 1 :], last.destination) or last


def _answered(hops: Sequence[Hop]) -> bool:
    """Did a final response come back for the first of these, a request?"""
    asked = hops[0]
    answers = (hop for hop in hops[1:] if hop.source == asked.destination and hop.destination == asked.source)
    return any(hop.status is not None and hop.status >= 200 for hop in answers)


def _where_it_stopped(mine: Sequence[Hop], last: Hop) -> Culprit:
    answers = [hop for hop in mine[mine.index(last) + 1 :] if hop.status is not None and hop.status >= 200]
    if answers:
        end = answers[-1]
        return Culprit(end.destination, end.frame, f"{end.status} to {end.method} was delivered to {end.destination}")
    if last.flaw:
        return Culprit(last.source, last.frame, f"{last.method} from {last.source} is malformed ({last.flaw})")
    return Culprit(last.destination, last.frame, f"{last.method} reached {last.destination} and went no further")

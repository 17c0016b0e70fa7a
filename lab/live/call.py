"""A call that somebody asked for: register, call, listen to each other, hang up, and judge it as a scenario is judged."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab.agents.call import Call
from lab.agents.step import StepFailed
from lab.agents.user_agent import UserAgent
from lab.errors import AgentError, LabError, SpecError
from lab.plan.model import Plan
from lab.session.bench import Bench
from lab.session.cells import NothingCaptured, of_the_dead, save
from lab.session.failure import classify, forget
from lab.session.lab import Lab
from lab.spec.names import nearest
from lab.verdict.blame import Hop
from lab.verdict.decide import Failure, decide
from lab.verdict.model import Verdict

ANSWERED_WITHIN = 15.0
KEYING = {"sdes": "srtp-sdes", "dtls": "srtp-dtls", "zrtp": "zrtp"}
"""How media are keyed → the capability that it takes."""
HEARD_WITHIN = 6.0
"""Seconds beyond those that are to be heard in which media have to come."""


@dataclass(frozen=True)
class Wanted:
    """What was asked for: `callee` is a user agent, another element with an account, a user of the caller's domain, or a URI."""

    caller: str
    callee: str
    seconds: float = 2.0
    transport: str = "udp"
    media: str = "rtp"
    keep: bool = False


@dataclass
class Placed:
    """What became of it. `legs` are the sides that are still up where the call was to be kept."""

    verdict: Verdict
    ladder: str
    folder: Path
    legs: list[Call] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """For the one who asked."""
        verdict = self.verdict
        return {
            "verdict": {"status": verdict.status.value, "reason": verdict.reason, "blame": verdict.blame, "step": verdict.step},
            "ladder": self.ladder,
            "folder": str(self.folder),
            "kept": bool(self.legs),
        }


def place(bench: Bench, wanted: Wanted, folder: Path, say: Callable[[str], None]) -> Placed:
    """Place the call. SpecError where it cannot be meant; all else ends in the verdict."""
    caller, callee, target = parties(bench.plan, wanted)
    taking_part = [name for name in (caller, callee) if name]
    lab = Lab(bench, f"{caller} calls {wanted.callee}", folder)
    legs: list[Call] = []
    forget()
    failure = None
    try:
        _prepare(bench, lab, taking_part)
    except LabError as error:
        return Placed(_unless_dead(bench, decide(classify(error))), "", folder)
    lab.observe()
    try:
        _talk(lab, wanted, [lab.user_agent(name) for name in taking_part], target, legs, say)
        if not wanted.keep:
            _hang_up(legs, say)
    except (AssertionError, LabError) as error:
        _must_be_able(lab, error, wanted)
        failure = classify(error)
    hops, failure = _evidence(lab, failure)
    if failure:
        _give_up(lab, taking_part)
    text = folder / "ladder.txt"
    ladder = text.read_text("utf-8") if text.is_file() else ""
    verdict = decide(failure, hops)
    if failure:
        verdict = _unless_dead(bench, verdict)
    return Placed(verdict, ladder, folder, legs if wanted.keep and not failure else [])


def _unless_dead(bench: Bench, verdict: Verdict) -> Verdict:
    """Who died is to blame, and the lab is of no more use: a verdict of what others made of it would mislead."""
    try:
        dead = bench.dead()
    except LabError as error:
        return decide(Failure("lab", str(error)))
    return of_the_dead(bench, dead, verdict) if dead else verdict


def hang_up(legs: list[Call]) -> None:
    """End what was kept, if it has not ended by itself."""
    if legs and legs[0].try_bye():
        for leg in legs:
            leg.ended().required()


def parties(plan: Plan, wanted: Wanted) -> tuple[str, str, str]:
    """Who calls, which user agent shall answer (empty where that is nobody in particular), and the URI that is called."""
    users = [element.name for element in plan.with_role("user-agent")]
    if wanted.caller not in users:
        raise SpecError(f'no user agent "{wanted.caller}" in this lab', remedy=nearest(wanted.caller, users))
    callee = next((element for element in plan.elements if element.name == wanted.callee), None)
    if callee is not None and callee.account is None:
        raise SpecError(f"{callee.name} is a {callee.role} and has no account that could be called", remedy="name a user or a URI")
    target = callee.account.aor if callee is not None and callee.account else _uri(plan, wanted)
    named = [callee.name] if callee is not None else [e.name for e in plan.elements if e.account and e.account.aor == target]
    if named == [wanted.caller]:
        raise SpecError(f"{wanted.caller} cannot call itself", remedy=f"user agents: {', '.join(users)}")
    return wanted.caller, named[0] if len(named) == 1 and named[0] in users else "", target


def _uri(plan: Plan, wanted: Wanted) -> str:
    """Of a callee that is no element: a user without domain is one of the caller's."""
    if wanted.callee.startswith(("sip:", "sips:")):
        return wanted.callee
    account = plan.element(wanted.caller).account
    return "sip:" + (wanted.callee if "@" in wanted.callee else f"{wanted.callee}@{account.domain if account else ''}")


def _must_be_able(lab: Lab, error: Exception, wanted: Wanted) -> None:
    """SpecError where a user agent refuses what its vendor has never declared: that is no failure of its own."""
    if isinstance(error, AgentError) and error.code == "unsupported":
        needs = {wanted.transport, KEYING.get(wanted.media, "")} - {""} - lab.declares(error.element)
        if needs:
            remedy = "choose another --transport or --media, or another vendor"
            raise SpecError(f"{error.element} has no {' and no '.join(sorted(needs))}", remedy=remedy) from error


def _prepare(bench: Bench, lab: Lab, names: list[str]) -> None:
    """The two that take part start afresh, with no contact left at their registrars; everybody and everything else stays as it is."""
    for name in names:
        lab.user_agent(name).reset()
    for name in names:
        account = bench.plan.element(name).account
        if account is not None:
            bench.servers[bench.plan.domain(account.domain).proxy].flush((account.username, account.domain))


def _give_up(lab: Lab, names: list[str]) -> None:
    """Nobody stays in half a call; who cannot be reset is told of as dead."""
    for name in names:
        with suppress(LabError):
            lab.user_agent(name).reset()


def _talk(lab: Lab, wanted: Wanted, agents: list[UserAgent], target: str, legs: list[Call], say: Callable[[str], None]) -> None:
    """Register, call, be answered; where both sides are ours, listen. Each leg is in `legs` as soon as it is there."""
    for agent in agents:
        more = _traversal(lab, agent.name)
        agent.register(transport=wanted.transport, media=wanted.media, **more)
        say(f"{agent.name} is registered over {wanted.transport}" + (", with ICE" if more else ""))
    caller, *others = agents
    outgoing = caller.invite(target)
    legs.append(outgoing)
    for callee in others:
        incoming = callee.expect_invite(within=ANSWERED_WITHIN)
        legs.append(incoming)
        incoming.answer()
        incoming.established().required()
    outgoing.established(within=ANSWERED_WITHIN).required()
    say(f"{wanted.callee} answered")
    for callee in others:
        _listen(outgoing, callee, legs[-1], caller, wanted.seconds)
        heard = f"{caller.name} hears {callee.name}'s {callee.tone} Hz, and {callee.name} {caller.name}'s {caller.tone} Hz"
        say(f"for {wanted.seconds:g} s {heard}")


def _traversal(lab: Lab, name: str) -> dict[str, Any]:
    """Where there are NATs and a relay, a user agent that can uses them: two of them might not hear each other otherwise."""
    has_way = lab.plan.with_role("nat") and lab.plan.with_role("turn")
    return lab.traversal(name) if has_way and "ice" in lab.declares(name) else {}


def _listen(outgoing: Call, callee: UserAgent, incoming: Call, caller: UserAgent, seconds: float) -> None:
    within = seconds + HEARD_WITHIN
    with ThreadPoolExecutor(2) as pool:
        one = pool.submit(outgoing.heard, callee.tone, seconds=seconds, within=within)
        other = pool.submit(incoming.heard, caller.tone, seconds=seconds, within=within)
        one.result().required()
        other.result().required()


def _hang_up(legs: list[Call], say: Callable[[str], None]) -> None:
    caller = legs[0].element
    if not legs[0].try_bye():
        raise StepFailed(f"{caller}: the call had ended before {caller} hung up", element=caller, step="bye", trace="BYE")
    for leg in legs:
        leg.ended().required()
    say(f"{caller} hung up")


def _evidence(lab: Lab, failure: Failure | None) -> tuple[list[Hop], Failure | None]:
    """A call without evidence is not judged, as in a scenario."""
    try:
        return save(lab), failure
    except NothingCaptured as error:
        return [], failure or Failure("lab", f"evidence: {error}")
    except (LabError, OSError) as error:
        return [], Failure("lab", f"evidence: {error}")

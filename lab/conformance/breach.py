"""What an agent has to answer to requests that it must not accept: made from the contract, so that no method is forgotten."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from lab.agents.client import AgentClient
from lab.agents.step import StepFailed
from lab.conformance.contract import ADDED, METHODS, NEEDS, Schema
from lab.conformance.schema import wrong
from lab.errors import AgentError

NO_SUCH = "no-such-id"
SHOWN = 3
"""Breaches that are told in one line; the rest is counted."""
_TRIED: tuple[Any, ...] = (7, -1, 10**9, 0.01, "nonsense", "a\r\nX: y", True, ["x"], {"x": 1})


@dataclass(frozen=True)
class Trial:
    """A request that has to fail: `member` is what is wrong with it, `codes` are the errors that it may be answered with."""

    method: str
    params: Mapping[str, Any]
    member: str
    codes: tuple[str, ...]


def bad_values(schema: Schema) -> list[Any]:
    """Values of the wrong type, form or range."""
    return [value for value in _TRIED if wrong(schema, value)]


def bad_parameters(valid: Mapping[str, Any], declared: frozenset[str]) -> Iterator[Trial]:
    """Every parameter of every method that the agent has to know: missing where it is required, and with every kind of wrong value."""
    for method, members in METHODS.items():
        good = {name: valid[name] for name, member in members.items() if member.required}
        codes = ("bad-params", *_excuse(method, declared))
        for name, member in members.items():
            if ADDED.get((method, name)) not in (None, *declared):
                continue
            if member.required:
                yield Trial(method, {key: value for key, value in good.items() if key != name}, name, codes)
            for value in bad_values(member.schema):
                yield Trial(method, {**good, name: value}, name, codes)


def unknown_ids(valid: Mapping[str, Any], declared: frozenset[str]) -> Iterator[Trial]:
    """Every method that takes a call or an account, with one that is not there."""
    for method, members in METHODS.items():
        for name in ("account", "call"):
            if name in members:
                good = {key: valid[key] for key, member in members.items() if member.required}
                yield Trial(method, {**good, name: NO_SUCH}, name, (f"unknown-{name}", *_excuse(method, declared)))


def _excuse(method: str, declared: frozenset[str]) -> tuple[str, ...]:
    """`unsupported` is right for a method whose capability is not declared."""
    return ("unsupported",) if method in NEEDS and NEEDS[method] not in declared else ()


def refuse(client: AgentClient, trial: Trial) -> str:
    """How the answer to a trial breaks the contract, or nothing. AgentError where there is no answer."""
    shown = f"{trial.method} with {trial.member}={trial.params.get(trial.member, 'missing')!r}"
    try:
        client.request(trial.method, **trial.params)
    except AgentError as error:
        if error.code == "fault":
            raise
        if error.code not in trial.codes:
            return f"{shown}: answered {error.code}, not {' or '.join(trial.codes)}"
        unnamed = error.code == "bad-params" and trial.member not in str(error)
        return f"{shown}: bad-params, but the message does not name {trial.member}" if unnamed else ""
    return f"{shown}: accepted"


def hold(element: str, step: str, breaches: list[str]) -> None:
    """StepFailed of `element` where there are breaches."""
    if breaches:
        more = f" (and {len(breaches) - SHOWN} more)" if len(breaches) > SHOWN else ""
        raise StepFailed("; ".join(breaches[:SHOWN]) + more, element=element, step=step)


class Framed(Protocol):
    """A message of the capture."""

    @property
    def frame(self) -> int:
        """Its packet's number."""


def insist(element: str, step: str, fulfilled: object, what: str, *messages: Framed) -> None:
    """StepFailed of `element` where something that it has to do was not; the first of `messages` shows it."""
    shown = f" in frame {messages[0].frame}" if messages else ""
    hold(element, step, [] if fulfilled else [f"{what}{shown}"])

"""Control of servers: what a vendor's manifest offers as commands, run inside its container.

Commands are data of the manifest (`control:` in vendor.yaml), so that flushing a registrar or making a proxy misbehave needs no code
that knows the vendor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from string import Formatter

from lab.errors import AgentError, LabError

Run = Callable[[Sequence[str]], tuple[int, str]]
Subscriber = tuple[str, str]
"""User and domain."""


@dataclass(frozen=True)
class ServerControl:
    """The control commands of one element. `run` executes an argv in its container: (exit code, output)."""

    element: str
    commands: Mapping[str, Sequence[str]]
    run: Run

    def can(self, command: str) -> bool:
        """Does the manifest offer it?"""
        return command in self.commands

    def do(self, command: str, **values: str) -> str:
        """Run a command with its placeholders filled in; its output. A command that fails is the element's fault."""
        if command not in self.commands:
            raise LabError(
                f"{self.element}: no control command {command!r}", remedy=f"its manifest offers: {', '.join(self.commands) or 'none'}"
            )
        return self._run(command, [part.format(**values) for part in self.commands[command]])

    def _run(self, command: str, argv: Sequence[str]) -> str:
        code, output = self.run(argv)
        if code != 0:
            raise AgentError(f"{self.element}: {command} ended with {code}: {output.strip()[:200]}", element=self.element, code="vendor")
        return output

    def flush(self, *subscribers: Subscriber) -> None:
        """Remove the bindings of all these, where the registrar can: stale contacts would fork the next call. It is one command for all of
        them, since to run one in a container costs more than what it does there."""
        if subscribers and self.can("flush"):
            self._run("flush", list(_for_each(self.commands["flush"], subscribers)))

    def reset(self) -> None:
        """No call, nothing stored, as after start-up, where the manifest says how: it would go on into the next scenario."""
        if self.can("reset"):
            self.do("reset")

    def misbehave(self, how: str) -> None:
        """Turn one named misbehaviour on, for negative controls."""
        self.do("misbehave", how=how)

    def demand(self, what: str) -> None:
        """Insist on more than usual of every client, or again on `nothing`."""
        self.do("demand", what=what)

    def behave(self) -> None:
        """Turn every misbehaviour off."""
        if self.can("behave"):
            self.do("behave")


def _for_each(command: Sequence[str], subscribers: Sequence[Subscriber]) -> Iterator[str]:
    """The parts of a command; those with placeholders, for each subscriber."""
    for varies, parts in groupby(command, key=lambda part: any(name is not None for _, name, _, _ in Formatter().parse(part))):
        group = tuple(parts)
        for user, domain in subscribers if varies else subscribers[:1]:
            yield from (part.format(user=user, domain=domain) for part in group)

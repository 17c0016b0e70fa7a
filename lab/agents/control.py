"""Control of servers: what a vendor's manifest offers as commands, run inside its container.

Commands are data of the manifest (`control:` in vendor.yaml), so that flushing a registrar or making a proxy misbehave needs no code
that knows the vendor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from lab.errors import AgentError, LabError

Run = Callable[[Sequence[str]], tuple[int, str]]


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
        argv = [part.format(**values) for part in self.commands[command]]
        code, output = self.run(argv)
        if code != 0:
            raise AgentError(f"{self.element}: {command} ended with {code}: {output.strip()[:200]}", element=self.element, code="vendor")
        return output

    def flush(self, username: str, domain: str) -> None:
        """Remove a subscriber's bindings, where the registrar can: stale contacts would fork the next call."""
        if self.can("flush"):
            self.do("flush", user=username, domain=domain)

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

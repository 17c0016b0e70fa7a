"""Who is served, who is registered, where a request goes. Nothing of sippy's: it has no registrar without RADIUS, and no domains."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SIP_PORT = 5060
LONGEST = 3600
"""Seconds that a binding lasts at most, whatever was asked for."""


@dataclass(frozen=True)
class Binding:
    """A registered Contact: sippy's URL object, and when it ends (clock of `Routing.now`)."""

    contact: Any
    until: float


@dataclass
class Routing:
    """Accounts of the own domains, proxies of the others, and bindings."""

    address: str
    accounts: dict[str, dict[str, str]]
    peers: dict[str, str]
    now: Callable[[], float] = time.monotonic
    _bindings: dict[str, Binding] = field(default_factory=dict)

    @classmethod
    def load(cls, path: str) -> Routing:
        """Read the rendered file. Whatever is wrong with it is an exception, and the container's end."""
        return cls(**json.loads(Path(path).read_text(encoding="utf-8")))

    def password(self, user: str, domain: str) -> str | None:
        """Of a subscriber; None where there is none of that name."""
        return self.accounts.get(domain, {}).get(user)

    def serves(self, domain: str) -> bool:
        """Whether that domain is ours; our address stands for none."""
        return domain in self.accounts

    def may_send(self, domain: str, address: str) -> bool:
        """Whether requests of that other domain come from there."""
        return domain in self.peers and self.peers[domain] == address

    def bind(self, aor: str, contact: Any, seconds: int) -> int:
        """Add or, with 0 seconds, remove the binding of `aor`. The seconds that it lasts."""
        seconds = min(seconds, LONGEST)
        if seconds > 0:
            self._bindings[aor] = Binding(contact, self.now() + seconds)
        else:
            self._bindings.pop(aor, None)
        return seconds

    def contact(self, aor: str) -> Any | None:
        """The Contact registered for `aor`, as long as it lasts."""
        binding = self._bindings.get(aor)
        return binding.contact if binding and binding.until > self.now() else None

    def command(self, line: str) -> str:
        """One line of `siplab-bindings`, answered with one."""
        action, _, aor = line.strip().partition(" ")
        if action == "flush":
            self._bindings.pop(aor, None)
            return "OK"
        if action == "list":
            return f"OK {self.contact(aor) or ''}"
        return f"no command {action[:40]!r}"

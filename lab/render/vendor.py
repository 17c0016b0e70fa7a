"""What rendering needs to know of a vendor: a part of its manifest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Vendor:
    """The manifest's members that end up in files.

    `folder` holds the templates that `files` maps to paths in the container. `agent` says that the main process speaks the agent
    contract and so gets an `agent.json`. Values of `environment` and `sysctls` are templates too. `in_role` holds it as it is in roles
    where it differs.
    """

    name: str
    folder: Path
    files: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    command: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    agent: bool = False
    keylog: bool = False
    sysctls: Mapping[str, str] = field(default_factory=dict)
    memory_mb: int = 128
    pids: int = 64
    in_role: Mapping[str, Vendor] = field(default_factory=dict)

    def playing(self, role: str) -> Vendor:
        """As it is in this role."""
        return self.in_role.get(role, self)

"""`/etc/siplab/agent.json`: what the lab tells an agent about its element."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import Any

DEFAULT_PATH = "/etc/siplab/agent.json"


class ConfigError(Exception):
    """The configuration file is missing, unreadable or has a wrong member."""


@dataclass(frozen=True)
class Config:
    """The element's own addresses, names and files (agent contract, "Configuration"). Optional ones are None."""

    element: str
    ipv4: str | None
    ipv6: str | None
    dns: tuple[str, ...]
    tone_hz: int
    rtp_ports: tuple[int, int]
    ca: str | None
    certificate: str | None
    key: str | None
    recordings: str
    keylog: str | None
    log_level: str

    @property
    def family(self) -> int:
        """The address family to begin with: 4 where the element has IPv4."""
        return 4 if self.ipv4 else 6

    @classmethod
    def load(cls, path: str | None = None) -> Config:
        """Read `path` (default: $SIPLAB_AGENT_JSON or /etc/siplab/agent.json); ConfigError names file and member."""
        path = path or os.environ.get("SIPLAB_AGENT_JSON", DEFAULT_PATH)
        try:
            with open(path, encoding="utf-8") as file:
                raw = json.load(file)
        except (OSError, ValueError) as error:
            raise ConfigError(f"{path}: {error}") from error
        try:
            return cls._parse(raw)
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError(f"{path}: missing or wrong member {error}") from error

    @classmethod
    def _parse(cls, raw: dict[str, Any]) -> Config:
        low, high = raw.get("rtp_ports") or (40000, 40098)
        return cls(
            element=str(raw["element"]),
            ipv4=raw["ipv4"],
            ipv6=raw.get("ipv6"),
            dns=tuple(raw.get("dns") or ()),
            tone_hz=int(raw.get("tone_hz", 440)),
            rtp_ports=(int(low), int(high)),
            ca=raw.get("ca"),
            certificate=raw.get("certificate"),
            key=raw.get("key"),
            recordings=str(raw.get("recordings") or "/var/lib/siplab/rec"),
            keylog=raw.get("keylog"),
            log_level=str(raw.get("log_level") or "info"),
        )

"""Roles: what an element is for. The one registry that topologies and vendor manifests are checked against."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from lab.spec.names import one_of

ROLES: dict[str, str] = {
    "dns": "authoritative name server of the lab's zones (RFC 1035, 2782, 3403)",
    "proxy": "SIP proxy and registrar of one or more domains (RFC 3261 §10, §16)",
    "user-agent": "SIP user agent with an account, driven through the agent contract (RFC 3261 §8)",
    "gateway": "gateway to another network, such as the PSTN (RFC 3398)",
    "trunk": "the telephone network behind a gateway, spoken to in SIP with Q.850 causes (RFC 3398, RFC 3326)",
    "voicemail": "answers for an absent user and indicates waiting messages (RFC 3842)",
    "focus": "conference focus and mixer (RFC 4353)",
    "sbc": "session border controller: a B2BUA between domains (RFC 5853)",
    "nat": "address translator or firewall between two networks (RFC 4787)",
    "turn": "STUN and TURN server (RFC 8489, 8656)",
    "attacker": "sends and answers what an honest element never would; it listens as SIP servers do",
    "tool": "no element: an image that others are built from, or that the lab itself uses",
}
"""Role -> what it means."""

Role = Annotated[str, Field(json_schema_extra={"enum": list(ROLES)}), AfterValidator(one_of("role", ROLES))]
"""The name of a role, for models."""

AGENTS = frozenset({"user-agent", "trunk", "attacker"})
"""Roles that are driven through an agent, which finds its configuration in the container."""

SERVERS = frozenset({"proxy", "gateway", "voicemail", "focus", "sbc", "attacker"})
"""Roles that listen for SIP requests under a host name of their own, and that can serve a domain."""

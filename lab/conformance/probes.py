"""Which cells prove what: the contract's own checks, and for each capability its probes. Names are those of reports."""

from __future__ import annotations

from collections.abc import Mapping

from lab.errors import PlanError
from lab.spec.names import nearest
from lab.spec.vendor import Vendor

ROLE = "user-agent"
TOPOLOGY = "trapezoid"
UNDER_TEST, PEER = "alice", "bob"

CONTRACT: Mapping[str, tuple[str, ...]] = {
    "handshake": ("handshake",),
    "unknown methods": ("unknown-methods",),
    "bad parameters": ("bad-parameters",),
    "unknown ids": ("unknown-ids",),
    "broken lines": ("broken-lines",),
    "reset": ("reset",),
    "shutdown": ("ends[shutdown]",),
    "end of input": ("ends[end-of-input]",),
    "SIGTERM": ("ends[sigterm]",),
    "registration": ("registration", "reg-wrong-password"),
    "call out, audio both ways": ("call-out",),
    "call in, audio both ways": ("call-in",),
}
"""What every user agent has to do, whatever it declares."""

PROBES: Mapping[str, tuple[str, ...]] = {
    "udp": ("registration-over[udp]",),
    "tcp": ("registration-over[tcp]",),
    "tls": ("registration-over[tls]",),
    "ipv6": ("call-over-ipv6",),
    "digest-md5": ("registration", "reg-wrong-password"),
    "tls-server-name": (
        "tls-good-certificate",
        *(f"tls-server-name[{fault}]" for fault in ("wrong-san", "unknown-ca", "expired", "not-yet-valid")),
    ),
    "invite": ("call-out", "call-in"),
    "cancel": ("cancel-pending",),
    "busy": ("reject[486]",),
    "reject-any": ("reject[603]",),
    "redirect": ("redirect",),
    "hold": ("hold-resume",),
    "delayed-offer": ("delayed-offer",),
    "delayed-offer-uas": ("delayed-offer-answered",),
    "dtmf-rfc4733": ("digits[rfc4733]",),
    "dtmf-info": ("digits[info]",),
    "message": ("messages",),
    "refer": ("transfer",),
    "srtp-sdes": ("secure-call[sdes]",),
    "srtp-dtls": ("secure-call[dtls]",),
}
"""Capability -> the cells that prove it: all of them have to pass. Capabilities that are not here have no probe yet."""


def wanted() -> frozenset[str]:
    """Every cell that a check runs."""
    return frozenset(name for table in (CONTRACT, PROBES) for names in table.values() for name in names)


def choose_peer(under_test: str, known: Mapping[str, Vendor], against: str = "") -> str:
    """The vendor that plays the other side: `against`, else the user agent other than `under_test` that declares the most.

    PlanError where there is none.
    """
    able = [name for name, vendor in known.items() if ROLE in vendor.roles and name != under_test]
    if against:
        name = against.partition("@")[0]
        if name not in known or ROLE not in known[name].roles:
            raise PlanError(f'--against: "{name}" is no user agent', remedy=nearest(name, able))
        return against
    if not able:
        raise PlanError(f"no user agent besides {under_test} to check it against", remedy="name one with --against")
    return max(sorted(able), key=lambda name: len(known[name].playing(ROLE).capabilities_of(known[name].default)))

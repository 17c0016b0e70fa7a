"""Which cells prove what: the contract's own checks, and for each capability its probes. Names are those of reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from lab.errors import PlanError
from lab.spec.vendor import Vendor

Table = Mapping[str, tuple[str, ...]]

FAULTS = ("wrong-san", "unknown-ca", "expired", "not-yet-valid")

USER_AGENT_CONTRACT: Table = {
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

USER_AGENT_PROBES: Table = {
    "udp": ("registration-over[udp]",),
    "tcp": ("registration-over[tcp]",),
    "tls": ("registration-over[tls]",),
    "ipv6": ("call-over-ipv6",),
    "digest-md5": ("registration", "reg-wrong-password"),
    "digest-sha-256": ("registration-with-sha-256",),
    "tls-server-name": ("tls-good-certificate", *(f"tls-server-name[{fault}]" for fault in FAULTS)),
    "mtls": ("client-certificate",),
    "sips": ("sips-calls",),
    "srv": ("registration-by-srv",),
    "naptr": ("registration-by-naptr",),
    "invite": ("call-out", "call-in"),
    "cancel": ("cancel-pending",),
    "busy": ("reject[486]",),
    "reject-any": ("reject[603]",),
    "redirect": ("redirect",),
    "hold": ("hold-resume",),
    "delayed-offer": ("delayed-offer",),
    "delayed-offer-uas": ("delayed-offer-answered",),
    "early-media": ("early-media",),
    "dtmf-rfc4733": ("digits[rfc4733]",),
    "dtmf-info": ("digits[info]",),
    "dtmf-inband": ("digits-as-sound",),
    "message": ("messages",),
    "refer": ("transfer",),
    "refer-replaces": ("attended-transfer", "call-is-replaced"),
    "srtp-sdes": ("secure-call[sdes]",),
    "srtp-dtls": ("secure-call[dtls]",),
    "prack": ("reliable-ringing-heard", "reliable-ringing-sent"),
    "update": ("update-answered",),
    "session-timer": ("session-timer-accepted", "session-timer-kept"),
    "mwi": ("message-waiting",),
    "ice": ("connectivity-checks",),
    "turn": ("media-relayed",),
    "stun": ("address-asked-for",),
    "outbound": ("outbound-flow",),
    "outbound-flows": ("outbound-flows",),
    "q-value": ("contact-preference",),
    "zrtp": ("secure-call[zrtp]",),
    "raw": ("raw-bytes",),
}
"""Capability of a user agent -> the cells that prove it: all of them have to pass."""

PROXY_CONTRACT: Table = {
    "version": ("proxy-version",),
    "control: flush": ("proxy-flush",),
    "control: bindings": ("proxy-bindings",),
    "control: misbehave": ("proxy-misbehave",),
    "registration": ("proxy-registration",),
    "wrong password": ("proxy-wrong-password",),
    "unknown and absent users": ("proxy-absent[nobody]", "proxy-absent[alice]"),
    "calls to another domain": ("proxy-call-out",),
    "calls from another domain": ("proxy-call-in",),
    "refusals": ("proxy-refusal",),
    "Max-Forwards": ("proxy-max-forwards",),
    "TLS: verifies the next hop": tuple(f"proxy-peer-certificate[{fault}]" for fault in FAULTS[1:]),
    "TLS: refuses who is not the domain": ("proxy-stranger",),
}
"""What every proxy and registrar has to do, whatever it declares."""

PROXY_PROBES: Table = {
    "udp": ("registration-over[udp]", "proxy-hop[udp]"),
    "tcp": ("registration-over[tcp]", "proxy-hop[tcp]"),
    "tls": ("registration-over[tls]", "proxy-hop[tls]"),
    "ipv6": ("call-over-ipv6",),
    "digest-md5": ("proxy-registration", "proxy-wrong-password"),
    "digest-sha-256": ("registration-with-sha-256",),
    "tls-server-name": ("proxy-wrong-name",),
    "mtls": ("proxy-client-certificate",),
    "sips": ("sips-calls",),
    "srv": ("proxy-srv",),
    "naptr": ("proxy-naptr",),
    "invite": ("proxy-call-out", "proxy-call-in"),
    "cancel": ("proxy-cancel",),
    "message": ("messages",),
}
"""Capability of a proxy -> the cells that prove it. It passes on what others can do; that is no capability of its own."""


@dataclass(frozen=True)
class Subject:
    """A role that can be checked: the element that the vendor plays, on which topologies, and what is held against it.

    `partners` are the roles of the other elements that vendors are chosen for; all others keep what the topology says.
    """

    role: str
    under_test: str
    topologies: tuple[str, ...]
    partners: tuple[str, ...]
    contract: Table
    probes: Table

    @property
    def wanted(self) -> frozenset[str]:
        """Every cell that a check runs."""
        return frozenset(name for table in (self.contract, self.probes) for names in table.values() for name in names)

    def narrowed(self, words: Sequence[str]) -> Subject:
        """Only the lines that have one of `words` in their name, in any case; all where there are no words. PlanError where none has."""
        if not words:
            return self
        contract, probes = (_lines(table, words) for table in (self.contract, self.probes))
        if not contract and not probes:
            named = ", ".join((*self.contract, *self.probes))
            raise PlanError(f"-k {' '.join(words)}: no line of the check has that in its name", remedy=f"there are {named}")
        return replace(self, contract=contract, probes=probes)


def _lines(table: Table, words: Sequence[str]) -> Table:
    return {name: cells for name, cells in table.items() if any(word.lower() in name.lower() for word in words)}


SUBJECTS: Mapping[str, Subject] = {
    subject.role: subject
    for subject in (
        Subject("user-agent", "alice", ("trapezoid", "check"), ("user-agent",), USER_AGENT_CONTRACT, USER_AGENT_PROBES),
        Subject("proxy", "pa", ("trapezoid",), ("proxy", "user-agent"), PROXY_CONTRACT, PROXY_PROBES),
    )
}
"""Role -> how it is checked."""


def subject_of(vendor: Vendor, role: str = "") -> Subject:
    """How a vendor is checked, in one of its roles: `role`, else the first that can be. PlanError where there is none."""
    if role and role not in vendor.roles:
        raise PlanError(f"{vendor.name} is no {role}", remedy=f"its roles: {', '.join(vendor.roles)}")
    for each in [role] if role else vendor.roles:
        if each in SUBJECTS:
            return SUBJECTS[each]
    raise PlanError(
        f"{vendor.name} is a {' and '.join(vendor.roles)}: there is no check for that", remedy=f"roles with one: {', '.join(SUBJECTS)}"
    )

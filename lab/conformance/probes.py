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

SERVER_CONTRACT: Table = {
    "version": ("server-version",),
    "control: misbehave": ("server-misbehave",),
}
"""What every SIP server has to do, whatever its role."""

REGISTRAR_CONTRACT: Table = {
    "control: flush": ("server-flush",),
    "control: bindings": ("server-bindings",),
    "registration": ("server-registration",),
    "wrong password": ("server-wrong-password",),
}
"""What every server has to do that user agents register with."""

ANSWERS: Table = {name: (f"server-answers[{name}]",) for name in ("udp", "tcp", "tls")}
"""The transports of a server that only other servers talk to."""

PROXY_CONTRACT: Table = {
    **SERVER_CONTRACT,
    **REGISTRAR_CONTRACT,
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
    "digest-md5": ("server-registration", "server-wrong-password"),
    "digest-sha-256": ("registration-with-sha-256",),
    "tls-server-name": ("proxy-wrong-name",),
    "mtls": ("proxy-client-certificate",),
    "sips": ("sips-calls",),
    "srv": ("proxy-srv",),
    "naptr": ("proxy-naptr",),
    "invite": ("proxy-call-out", "proxy-call-in"),
    "cancel": ("server-cancel",),
    "message": ("messages",),
    "stateful-proxy": ("proxy-call-out", "proxy-call-in", "fork-407-merge", "fork-6xx", "fork-every-2xx"),
    "fork-parallel": ("fork-first-wins",),
    "fork-serial": ("fork-sequential",),
    "routes": ("vm-target-cause[busy]", "vm-target-cause[no-answer]", "vm-target-cause[absent]", "vm-deposit-mwi"),
    "asserted-identity": ("pstn-clir-inward[proxy]", "pstn-clir-outward", "pstn-header-smuggle[plain]"),
    "srv-failover": ("dns-srv-failover[silent]", "dns-srv-failover[answer-503]"),
    "transit": ("transit-call[udp+rtp]",),
    "outbound": ("nat-outbound-failover[tcp]",),
}
"""Capability of a proxy -> the cells that prove it. It passes on what others can do; that is no capability of its own."""


GATEWAY_CONTRACT: Table = {
    **SERVER_CONTRACT,
    "calls to the telephone network": ("pstn-early-media-ringback",),
    "calls from the telephone network": ("pstn-clip",),
    "announcements before a refusal": ("pstn-early-media-announcement",),
    "causes to SIP codes": (*(f"pstn-cause-map[{cause}]" for cause in (1, 17, 18, 19, 21, 31, 34, 57)), "pstn-cause-map[17-in-500]"),
    "SIP codes to causes": tuple(f"pstn-sip-to-cause[{code}]" for code in (404, 486, 480, 500)),
    "nobody calls at another's expense": ("pstn-unauth-toll[gateway]",),
}
"""What every gateway to the telephone network has to do (RFC 3398)."""

GATEWAY_PROBES: Table = {
    **ANSWERS,
    "invite": ("pstn-early-media-ringback", "pstn-clip"),
    "cancel": ("pstn-early-media-heard",),
    "dtmf-rfc4733": ("pstn-dtmf-outward[rfc4733-rfc4733]", "pstn-dtmf-inward[rfc4733-rfc4733]"),
    "dtmf-info": ("pstn-dtmf-outward[info-rfc4733]",),
    "dtmf-inband": ("pstn-dtmf-outward[rfc4733-inband]", "pstn-dtmf-outward[inband-rfc4733]", "pstn-dtmf-inward[inband-rfc4733]"),
    "asserted-identity": ("pstn-clip", "pstn-clir-inward[gateway]", "pstn-clir-outward"),
}
"""Capability of a gateway -> the cells that prove it."""

VOICEMAIL_CONTRACT: Table = {
    **SERVER_CONTRACT,
    "takes diverted calls": ("vm-target-cause[busy]", "vm-target-cause[no-answer]", "vm-target-cause[absent]"),
    "wrong PINs close a mailbox": ("vm-pin-bruteforce",),
}
"""What every voicemail server has to do (RFC 4458)."""

VOICEMAIL_PROBES: Table = {
    **ANSWERS,
    "invite": ("vm-target-cause[absent]",),
    "mwi": ("vm-deposit-mwi",),
    **{f"dtmf-{name}": (f"ivr-dtmf-pin[{name}]",) for name in ("rfc4733", "info", "inband")},
}
"""Capability of a voicemail server -> the cells that prove it."""

FOCUS_CONTRACT: Table = {
    **SERVER_CONTRACT,
    "each hears the others": ("conf-3way",),
    "says that it is a focus": ("conf-isfocus",),
    "a room with a PIN": ("conf-unauth-join-no-pin",),
    "forged dialogs": ("conf-unauth-join-forged[Replaces]", "conf-unauth-join-forged[Join]"),
    "strangers": ("conf-unauth-join-stranger",),
}
"""What every conference focus has to do (RFC 4353, RFC 4579)."""

FOCUS_PROBES: Table = {
    **ANSWERS,
    "invite": ("conf-3way",),
    "dtmf-rfc4733": ("conf-unauth-join-no-pin",),
    "dtmf-info": ("server-pin-by-info",),
    "refer": ("conf-refer-dialout",),
    "srtp-sdes": ("conf-mixed-crypto",),
}
"""Capability of a focus -> the cells that prove it."""

SBC_CONTRACT: Table = {
    **SERVER_CONTRACT,
    **REGISTRAR_CONTRACT,
    "calls inward, audio both ways": ("server-call-out",),
    "calls outward, audio both ways": ("server-call-in",),
}
"""What every session border controller has to do that is the registrar of those outside (RFC 5853)."""

SBC_PROBES: Table = {
    **ANSWERS,
    "ipv6": ("server-call-over-ipv6",),
    "digest-md5": ("server-registration", "server-wrong-password"),
    "invite": ("server-call-out", "server-call-in"),
    "cancel": ("server-cancel",),
    "hold": ("sbc-media-anchor",),
    "message": ("server-message",),
    "refer": ("xfer-blind-early-bye",),
    "refer-replaces": ("xfer-attended-sbc",),
    "srtp-sdes": ("sbc-srtp-rtp[inward]", "sbc-srtp-rtp[outward]"),
    "topology-hiding": ("sbc-topology-hiding[inward]", "sbc-topology-hiding[outward]"),
    "media-anchor": ("sbc-media-anchor",),
    "srtp-interworking": ("sbc-srtp-rtp[inward]", "sbc-srtp-rtp[outward]"),
    "overload-protection": ("sbc-overload",),
}
"""Capability of a session border controller -> the cells that prove it."""


@dataclass(frozen=True)
class Ground:
    """A topology that cells of a check run on, and the element that the vendor plays there.

    `partners` are the roles of the other elements that vendors are chosen for; all others keep what the topology says.
    """

    topology: str
    under_test: str
    partners: tuple[str, ...] = ("user-agent",)


@dataclass(frozen=True)
class Subject:
    """A role that can be checked: where, and what is held against it."""

    role: str
    grounds: tuple[Ground, ...]
    contract: Table
    probes: Table

    def on(self, topology: str) -> Ground:
        """The ground that is this topology; KeyError where there is none."""
        return {ground.topology: ground for ground in self.grounds}[topology]

    @property
    def topologies(self) -> tuple[str, ...]:
        """Where a cell is looked for, in this order."""
        return tuple(ground.topology for ground in self.grounds)

    @property
    def partners(self) -> tuple[str, ...]:
        """All roles that vendors are chosen for."""
        return tuple(dict.fromkeys(role for ground in self.grounds for role in ground.partners))

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


PROXY_GROUNDS = (
    Ground("trapezoid", "pa", ("proxy", "user-agent")),
    Ground("forking", "p"),
    Ground("voicemail-ivr", "pa"),
    Ground("pstn-gateway", "pa"),
    Ground("rogue-dns", "pa"),
    Ground("trapezoid-3", "pt"),
    Ground("nat-outbound", "edge1", ()),
)
"""What a proxy is for beyond its own domain takes other servers around it: those of the topology, known to do their part."""

SUBJECTS: Mapping[str, Subject] = {
    subject.role: subject
    for subject in (
        Subject("user-agent", (Ground("trapezoid", "alice"), Ground("check", "alice")), USER_AGENT_CONTRACT, USER_AGENT_PROBES),
        Subject("proxy", PROXY_GROUNDS, PROXY_CONTRACT, PROXY_PROBES),
        Subject("gateway", (Ground("pstn-gateway", "gw"),), GATEWAY_CONTRACT, GATEWAY_PROBES),
        Subject("voicemail", (Ground("voicemail-ivr", "vm"),), VOICEMAIL_CONTRACT, VOICEMAIL_PROBES),
        Subject("focus", (Ground("conference", "focus"),), FOCUS_CONTRACT, FOCUS_PROBES),
        Subject("sbc", (Ground("sbc", "sbc"),), SBC_CONTRACT, SBC_PROBES),
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

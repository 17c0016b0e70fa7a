"""What follows from the type of a NAT: how it behaves (RFC 4787), and how two user agents behind two of them can reach each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Literal, get_args

from lab.plan.model import Plan

Dependence = Literal["endpoint-independent", "address-dependent", "address-and-port-dependent"]
"""RFC 4787 §4.1 and §5: for whom a mapping is the same, and who is let in through it."""
Mapped = Literal["none", "endpoint-independent", "address-dependent", "address-and-port-dependent"]
Candidate = Literal["host", "srflx", "prflx", "relay"]
"""Candidate types (RFC 8445 §5.1.1)."""

_ANYBODY: Dependence = "endpoint-independent"
_PLACE: Dependence = "address-and-port-dependent"
_TYPES: Mapping[str, tuple[Mapped, Dependence]] = {
    "full-cone": (_ANYBODY, _ANYBODY),
    "address-restricted": (_ANYBODY, "address-dependent"),
    "port-restricted": (_ANYBODY, _PLACE),
    "symmetric": (_PLACE, _PLACE),
    "firewall": ("none", _PLACE),
    "udp-blocked": (_ANYBODY, _PLACE),
}


@dataclass(frozen=True)
class Behaviour:
    """How a NAT or firewall treats UDP, and whether a packet to its own public address comes back in (`hairpin`).

    `tcp` are the ports that a connection from inside may be opened to; None: any. `binding_timeout` is in seconds. Where `udp` does not get
    through at all, mapping, filtering and hairpin are of no consequence.
    """

    udp: bool
    mapping: Mapped
    filtering: Dependence
    hairpin: bool
    alg: bool
    binding_timeout: int
    tcp: frozenset[int] | None

    def connects(self, port: int) -> bool:
        """A TCP connection to this port may be opened from inside."""
        return self.tcp is None or port in self.tcp


def behaviour(options: Mapping[str, object]) -> Behaviour:
    """The behaviour that a NAT's options (`lab.spec.options.NatOptions`, defaults filled in) stand for."""
    kind = str(options["type"])
    mapping, filtering = _TYPES[kind]
    allowed = options["allow"]
    assert isinstance(allowed, Sequence)
    ports = frozenset(int(entry.partition("/")[2]) for entry in allowed if "/" in entry)
    return Behaviour(
        udp=kind != "udp-blocked" and (not allowed or "udp" in allowed),
        mapping=mapping,
        filtering=filtering,
        hairpin=bool(options["hairpin"]) and mapping != "none",
        alg=bool(options["alg"]),
        binding_timeout=int(str(options["binding_timeout"])),
        tcp=None if not allowed or "tcp" in allowed else ports,
    )


OPEN = Behaviour(udp=True, mapping="none", filtering=_ANYBODY, hairpin=False, alg=False, binding_timeout=0, tcp=None)
"""Where there is no NAT."""


def nats_of(plan: Plan, element: str) -> list[str]:
    """The NATs on an element's way out, its own first: several where one is behind another (RFC 6888)."""
    found: list[str] = []
    behind = plan.element(element).behind
    while behind is not None:
        found.append(behind)
        behind = plan.element(behind).behind
    return found


def way_out(plan: Plan, element: str) -> Behaviour:
    """All NATs on an element's way out, as if they were one: each makes it stricter."""
    return reduce(_and_then, (behaviour(plan.element(nat).options) for nat in nats_of(plan, element)), OPEN)


def _and_then(inner: Behaviour, outer: Behaviour) -> Behaviour:
    timeouts = [nat.binding_timeout for nat in (inner, outer) if nat.binding_timeout]
    return Behaviour(
        udp=inner.udp and outer.udp,
        mapping=max(inner.mapping, outer.mapping, key=get_args(Mapped).index),
        filtering=max(inner.filtering, outer.filtering, key=get_args(Dependence).index),
        hairpin=outer.hairpin,
        alg=inner.alg or outer.alg,
        binding_timeout=min(timeouts, default=0),
        tcp=inner.tcp if outer.tcp is None else outer.tcp if inner.tcp is None else inner.tcp & outer.tcp,
    )


def predicted_pair(plan: Plan, one: str, other: str) -> tuple[Candidate, Candidate] | None:
    """What `candidate_pair` says of two elements of a plan: on a common network their hosts reach each other, behind a common NAT only
    one that hairpins lets them (RFC 4787 §6)."""
    networks = [{place.network for place in plan.element(name).interfaces} for name in (one, other)]
    if networks[0] & networks[1]:
        return "host", "host"
    common = [nat for nat in nats_of(plan, one) if nat in nats_of(plan, other)]
    if common and not behaviour(plan.element(common[0]).options).hairpin:
        return None
    return candidate_pair(way_out(plan, one), way_out(plan, other))


def candidate_pair(one: Behaviour, other: Behaviour) -> tuple[Candidate, Candidate] | None:
    """The types of the two candidates between which media go directly, `one`'s first; None where they need a relay.

    For two user agents that use ICE behind different NATs, both with STUN (RFC 8445). Each sends its checks to the candidates that the
    other has told. What arrives from a mapping that only these checks made is a peer-reflexive candidate (§7.3.1.3): a symmetric NAT has
    such. It gets in where the other NAT does not insist on the port that was told.
    """
    if not (one.udp and other.udp):
        return None
    for surprising, strict in ((one, other), (other, one)):
        if _surprises(surprising) and strict.filtering == _PLACE:
            return None
    return _seen_as(one), _seen_as(other)


def _surprises(nat: Behaviour) -> bool:
    """Checks come from another place than the one that was told."""
    return nat.mapping not in ("none", _ANYBODY)


def _seen_as(nat: Behaviour) -> Candidate:
    return "host" if nat.mapping == "none" else "prflx" if _surprises(nat) else "srflx"

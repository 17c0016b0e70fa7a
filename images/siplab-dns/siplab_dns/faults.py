"""Faults: what the server says or leaves unsaid, instead of the truth, for the questions that match.

A fault is data, whether it comes over the control channel or from a file: whom it strikes (`name`, `type`, `source`), how often (`times`,
`every`), what it does (`kind`) and that kind's own parameters.
"""

from __future__ import annotations

import ipaddress
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

import dns.exception
import dns.name
import dns.rdatatype
import dns.rrset

KINDS: dict[str, tuple[str, ...]] = {
    "delay": ("seconds",),
    "drop": (),
    "nxdomain": (),
    "servfail": (),
    "no-data": (),
    "truncate": ("tcp",),
    "wrong-id": (),
    "wrong-question": (),
    "wrong-answer": (),
    "cname-loop": (),
    "lame": (),
    "ttl-zero": (),
    "oversized": ("size",),
    "override": ("records",),
}
"""Kind -> parameters of its own."""
_MATCHING = ("kind", "name", "type", "source", "times", "every")
_MAX_DELAY = 30.0
_MAX_SIZE = 60_000  # bytes: a datagram has at most 65507
_USUAL_SIZE = 4096

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Hosts = Mapping[str, Sequence[str]]


class BadParams(Exception):
    """A parameter is missing, unknown, of the wrong type or out of range; the message names it."""


@dataclass(frozen=True)
class Question:
    """What is asked. `name` is in lower case, without the trailing dot."""

    name: str
    rdtype: dns.rdatatype.RdataType

    @classmethod
    def of(cls, name: dns.name.Name, rdtype: dns.rdatatype.RdataType) -> Question:
        """From dnspython's terms."""
        return cls(name.to_text(omit_final_dot=True).lower(), rdtype)


@dataclass
class Fault:
    """One fault. What is None or empty matches everything; `left` None is for ever; of `every` matching questions the first is struck."""

    kind: str
    name: str | None = None
    rdtype: dns.rdatatype.RdataType | None = None
    sources: tuple[Network, ...] = ()
    left: int | None = None
    every: int = 1
    seconds: float = 0.0
    size: int = _USUAL_SIZE
    tcp: bool = True
    records: tuple[dns.rrset.RRset, ...] = ()
    seen: int = 0

    def covers(self, question: Question) -> bool:
        """Is it about this question, whoever asks?"""
        return self.rdtype in (None, question.rdtype) and (self.name is None or fnmatchcase(question.name, self.name))

    def strikes(self, question: Question, client: str) -> bool:
        """Does it strike now? Counts the question where it matches."""
        if not self.covers(question) or not self._asked_by(client):
            return False
        self.seen += 1
        return (self.seen - 1) % self.every == 0

    def _asked_by(self, client: str) -> bool:
        return not self.sources or any(ipaddress.ip_address(client) in network for network in self.sources)


@dataclass
class FaultBook:
    """The faults in force. The newest one that strikes wins.

    `hosts` are the names that a `source` may have, with their addresses; `standing` are faults that a reset brings back. `generation`
    grows with every change, for those who remember answers.
    """

    hosts: Hosts = field(default_factory=dict)
    standing: Sequence[Mapping[str, Any]] = ()
    generation: int = 0
    _faults: dict[str, Fault] = field(default_factory=dict)
    _ids: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Only the standing faults."""
        self.clear()
        for params in self.standing:
            self.set(params)

    def set(self, params: Mapping[str, Any]) -> str:
        """Take a fault from a request's parameters; returns its id."""
        fault = _parse(params, self.hosts)
        name = f"f{next(self._ids)}"
        self._faults[name] = fault
        self.generation += 1
        return name

    def clear(self, name: str | None = None) -> None:
        """Lift one fault, or all."""
        self.generation += 1
        if name is None:
            self._faults.clear()
        elif self._faults.pop(name, None) is None:
            raise BadParams(f"fault: no such fault {name!r}")

    def take(self, question: Question, client: str) -> tuple[str, Fault] | None:
        """The fault that strikes this question, counted as used once."""
        for name, fault in reversed(self._faults.items()):
            if fault.strikes(question, client):
                if fault.left is not None:
                    fault.left -= 1
                    if fault.left == 0:
                        self.clear(name)
                return name, fault
        return None

    def cover(self, question: Question) -> bool:
        """Is any fault about this question? Such records are not volunteered in additional sections either."""
        return any(fault.covers(question) for fault in self._faults.values())

    def __bool__(self) -> bool:
        return bool(self._faults)


def _parse(params: Mapping[str, Any], hosts: Hosts) -> Fault:
    kind = params.get("kind")
    if kind not in KINDS:
        raise BadParams(f"kind: {kind!r} is none of {', '.join(KINDS)}")
    known = (*_MATCHING, *KINDS[kind])
    for member, value in params.items():
        if member not in known and value is not None:
            raise BadParams(f"{member}: is no parameter of {kind}; there are {', '.join(known)}")
    fault = Fault(
        kind=kind,
        name=_glob(_optional(params, "name", str)),
        rdtype=_rdtype(_optional(params, "type", str)),
        sources=_sources(_optional(params, "source", str), hosts),
        left=_count(params, "times", None),
        every=_count(params, "every", 1) or 1,
    )
    if kind == "delay":
        fault.seconds = _seconds(params.get("seconds"))
    elif kind == "truncate":
        fault.tcp = _optional(params, "tcp", bool) is not False
    elif kind == "oversized":
        fault.size = _size(params)
    elif kind == "override":
        fault.records = _records(params.get("records"), params.get("name"))
    return fault


def _optional(params: Mapping[str, Any], name: str, wanted: type) -> Any:
    value = params.get(name)
    if value is not None and (not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool)):
        raise BadParams(f"{name}: {value!r} is not {wanted.__name__}")
    return value


def _count(params: Mapping[str, Any], name: str, default: int | None) -> int | None:
    value = _optional(params, name, int)
    if value is not None and value < 1:
        raise BadParams(f"{name}: {value} is not 1 or more")
    return default if value is None else int(value)


def _glob(text: str | None) -> str | None:
    return None if text is None else _name("name", text).to_text(omit_final_dot=True).lower()


def _name(member: str, text: str) -> dns.name.Name:
    try:
        return dns.name.from_text(text)
    except dns.exception.DNSException as error:
        raise BadParams(f"{member}: {text!r}: {error}") from error


def _rdtype(text: str | None) -> dns.rdatatype.RdataType | None:
    try:
        return None if text is None else dns.rdatatype.from_text(text)
    except (dns.exception.DNSException, ValueError) as error:
        raise BadParams(f"type: {text!r} is no record type") from error


def _sources(text: str | None, hosts: Hosts) -> tuple[Network, ...]:
    if text is None:
        return ()
    try:
        return tuple(ipaddress.ip_network(address) for address in hosts.get(text, (text,)))
    except ValueError as error:
        raise BadParams(f"source: {text!r} is no element, address or network; elements: {', '.join(hosts) or 'none'}") from error


def _seconds(value: Any) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value <= _MAX_DELAY:
        raise BadParams(f"seconds: {value!r} is not above 0 and at most {_MAX_DELAY:g}")
    return float(value)


def _size(params: Mapping[str, Any]) -> int:
    size = _count(params, "size", _USUAL_SIZE) or _USUAL_SIZE
    if size > _MAX_SIZE:
        raise BadParams(f"size: {size} bytes is more than {_MAX_SIZE}")
    return size


def _records(value: Any, name: str | None) -> tuple[dns.rrset.RRset, ...]:
    """`[{"type": "A", "data": "198.18.0.99", "name"?, "ttl"?}]`; the name is the fault's where it names one."""
    if not isinstance(value, Sequence) or isinstance(value, str) or not all(isinstance(item, Mapping) for item in value):
        raise BadParams("records: a list of {name?, type, ttl?, data} is needed")
    return tuple(_record(item, name) for item in value)


def _record(item: Mapping[str, Any], name: str | None) -> dns.rrset.RRset:
    text = _optional(item, "name", str) or name
    if text is None or set(text) & set("*?["):
        raise BadParams("records.name: is needed where the fault names no single name")
    owner = _name("records.name", text)
    try:
        return dns.rrset.from_text(owner, int(item.get("ttl", 1)), "IN", str(item["type"]), str(item["data"]))
    except KeyError as error:
        raise BadParams(f"records.{error.args[0]}: is missing") from error
    except (dns.exception.DNSException, ValueError, TypeError) as error:
        raise BadParams(f"records: {dict(item)!r}: {error or type(error).__name__}") from error

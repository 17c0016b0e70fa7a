"""Faults: what the server says or leaves unsaid, instead of the truth, for the questions that match."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import dns.exception
import dns.name
import dns.rdatatype
import dns.rrset

KINDS = ("delay", "drop", "nxdomain", "servfail", "truncate", "wrong-id", "override")
_MAX_DELAY = 30.0


class BadParams(Exception):
    """A parameter is missing, of the wrong type or out of range; the message names it."""


@dataclass
class Fault:
    """One fault. `name` None matches every name, `*.x` everything below x; `rdtype` None every type; `left` None for ever."""

    kind: str
    name: dns.name.Name | None = None
    rdtype: dns.rdatatype.RdataType | None = None
    seconds: float = 0.0
    records: tuple[dns.rrset.RRset, ...] = ()
    left: int | None = None

    def matches(self, name: dns.name.Name, rdtype: dns.rdatatype.RdataType) -> bool:
        """Does it apply to this question?"""
        if self.left == 0 or self.rdtype not in (None, rdtype):
            return False
        if self.name is None or self.name == name:
            return True
        return self.name.labels[0] == b"*" and name.is_subdomain(self.name.parent()) and name != self.name.parent()


@dataclass
class FaultBook:
    """The faults in force. The newest one that matches wins."""

    _faults: dict[str, Fault] = field(default_factory=dict)
    _ids: itertools.count = field(default_factory=lambda: itertools.count(1))

    def set(self, params: Mapping[str, Any]) -> str:
        """Take a fault from a request's parameters; returns its id."""
        fault = _parse(params)
        name = f"f{next(self._ids)}"
        self._faults[name] = fault
        return name

    def clear(self, name: str | None = None) -> None:
        """Lift one fault, or all."""
        if name is None:
            self._faults.clear()
        elif self._faults.pop(name, None) is None:
            raise BadParams(f"fault: no such fault {name!r}")

    def take(self, name: dns.name.Name, rdtype: dns.rdatatype.RdataType) -> tuple[str, Fault] | None:
        """The fault for this question, counted as used once."""
        for number, fault in reversed(self._faults.items()):
            if fault.matches(name, rdtype):
                if fault.left is not None:
                    fault.left -= 1
                return number, fault
        return None

    def strikes(self, name: dns.name.Name, rdtype: dns.rdatatype.RdataType) -> bool:
        """Would a fault apply to this question? Such records are not volunteered in additional sections either."""
        return any(fault.matches(name, rdtype) for fault in self._faults.values())

    def __bool__(self) -> bool:
        return bool(self._faults)


def _parse(params: Mapping[str, Any]) -> Fault:
    kind = params.get("kind")
    if kind not in KINDS:
        raise BadParams(f"kind: {kind!r} is none of {', '.join(KINDS)}")
    name = _optional(params, "name", str)
    rdtype = _optional(params, "type", str)
    times = _optional(params, "times", int)
    if times is not None and times < 1:
        raise BadParams(f"times: {times} is not 1 or more")
    fault = Fault(kind=kind, name=_name("name", name), rdtype=_rdtype(rdtype), left=times)
    if kind == "delay":
        fault.seconds = _seconds(params.get("seconds"))
    if kind == "override":
        fault.records = _records(params.get("records"), fault)
    return fault


def _optional(params: Mapping[str, Any], name: str, wanted: type) -> Any:
    value = params.get(name)
    if value is not None and (not isinstance(value, wanted) or isinstance(value, bool)):
        raise BadParams(f"{name}: {value!r} is not {wanted.__name__}")
    return value


def _name(member: str, text: str | None) -> dns.name.Name | None:
    try:
        return None if text is None else dns.name.from_text(text)
    except dns.exception.DNSException as error:
        raise BadParams(f"{member}: {text!r}: {error}") from error


def _rdtype(text: str | None) -> dns.rdatatype.RdataType | None:
    try:
        return None if text is None else dns.rdatatype.from_text(text)
    except (dns.exception.DNSException, ValueError) as error:
        raise BadParams(f"type: {text!r} is no record type") from error


def _seconds(value: Any) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value <= _MAX_DELAY:
        raise BadParams(f"seconds: {value!r} is not above 0 and at most {_MAX_DELAY:g}")
    return float(value)


def _records(value: Any, fault: Fault) -> tuple[dns.rrset.RRset, ...]:
    """`[{"type": "A", "data": "198.18.0.99", "name"?, "ttl"?}]`; the name is the fault's where it names one."""
    if not isinstance(value, list) or not all(isinstance(item, Mapping) for item in value):
        raise BadParams("records: a list of {name?, type, ttl?, data} is needed")
    return tuple(_record(item, fault) for item in value)


def _record(item: Mapping[str, Any], fault: Fault) -> dns.rrset.RRset:
    name = _name("records.name", _optional(item, "name", str)) or fault.name
    if name is None or name.is_wild():
        raise BadParams("records.name: is needed where the fault names no single name")
    try:
        return dns.rrset.from_text(name, int(item.get("ttl", 1)), "IN", str(item["type"]), str(item["data"]))
    except KeyError as error:
        raise BadParams(f"records.{error.args[0]}: is missing") from error
    except (dns.exception.DNSException, ValueError, TypeError) as error:
        raise BadParams(f"records: {dict(item)!r}: {error or type(error).__name__}") from error

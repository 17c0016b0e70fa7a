"""A plan for people and for programs: tables and JSON-able data. Nothing is printed here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, is_dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from lab.plan.model import Plan

SCHEMA = 1
"""Version of what `plan_to_dict` returns."""


@dataclass(frozen=True)
class Table:
    """A titled table of text cells; every row has as many cells as there are `columns`."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def plan_tables(plan: Plan) -> tuple[Table, ...]:
    """The plan as tables: elements, networks, listeners, certificates, records. Empty tables are left out."""
    tables = (
        Table("Elements", ("element", "role", "vendor", "IPv4", "IPv6", "host name", "account", "tone"), tuple(_elements(plan))),
        Table("Networks", ("network", "IPv4", "IPv6", ""), tuple(_networks(plan))),
        Table("Routes", ("element", "to", "through"), tuple(_routes(plan))),
        Table("Listeners", ("element", "transport", "port", "host name", "certificate"), tuple(_listeners(plan))),
        Table("Certificates", ("element", "name", "usage", "identity", "fault"), tuple(_certificates(plan))),
        Table("DNS", ("zone", "name", "type", "data"), tuple(_records(plan))),
    )
    return tuple(table for table in tables if table.rows)


def plan_to_dict(plan: Plan) -> dict[str, object]:
    """The whole plan as JSON-able data (addresses as text); passwords included, which are worth nothing outside their lab."""
    return {"schema": SCHEMA, **{item.name: _plain(getattr(plan, item.name)) for item in fields(plan)}}


def _plain(value: object) -> object:
    if is_dataclass(value):
        return {item.name: _plain(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, IPv4Address | IPv6Address | IPv4Network | IPv6Network):
        return str(value)
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise TypeError(f"a plan holds a {type(value).__name__}, which has no JSON form")


def _networks(plan: Plan) -> Iterator[tuple[str, ...]]:
    for net in plan.networks:
        about = ["private"] if net.private else []
        about += [f"loss {net.loss:.2%}"] if net.loss else []
        about += [f"rate {net.rate / 1000:g} kbit/s"] if net.rate else []
        about += [f"delay {net.delay * 1000:g} ms"] if net.delay else []
        yield (net.name, str(net.ipv4 or "–"), str(net.ipv6 or "–"), ", ".join(about))


def _routes(plan: Plan) -> Iterator[tuple[str, ...]]:
    for element in plan.elements:
        for route in element.ip_routes:
            where = "everywhere" if route.destination.prefixlen == 0 else str(route.destination)
            yield (element.name, where, str(route.gateway))


def _elements(plan: Plan) -> Iterator[tuple[str, ...]]:
    for element in plan.elements:
        yield (
            element.name,
            element.role,
            f"{element.vendor}@{element.flavour}",
            _joined(str(interface.ipv4) for interface in element.interfaces if interface.ipv4),
            _joined(str(interface.ipv6) for interface in element.interfaces if interface.ipv6),
            element.hostname,
            element.account.aor if element.account else "",
            f"{element.tone_hz} Hz" if element.tone_hz else "",
        )


def _listeners(plan: Plan) -> Iterator[tuple[str, ...]]:
    for element in plan.elements:
        for listener in element.listeners:
            yield (element.name, listener.transport, str(listener.port), listener.hostname, listener.certificate or "")


def _certificates(plan: Plan) -> Iterator[tuple[str, ...]]:
    for element in plan.elements:
        for request in element.certificates:
            names = (*(f"DNS:{name}" for name in request.dns_names), *(f"URI:{uri}" for uri in request.uris), *request.addresses)
            yield (element.name, request.name, request.usage, _joined(names), "" if request.fault == "none" else request.fault)


def _records(plan: Plan) -> Iterator[tuple[str, ...]]:
    for zone in plan.zones:
        for record in zone.records:
            yield (zone.origin, record.name, record.type, record.data)


def _joined(parts: Iterable[str]) -> str:
    return " ".join(parts)

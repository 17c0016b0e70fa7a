"""What a picture shows, before it is drawn: networks, elements with their places on them, domains and where requests go."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lab.plan.model import Domain, Element, Interface, Plan, Route
from lab.spec.topology import Topology

SECRET = "password"
"""The option that no picture shows."""


@dataclass(frozen=True)
class Bus:
    """A network. `subnets` are those of the families that it has, IPv4 first."""

    name: str
    subnets: tuple[str, ...]
    private: bool = False

    @property
    def label(self) -> str:
        """Its name, and whether it is private."""
        return f"{self.name} (private)" if self.private else self.name


@dataclass(frozen=True)
class Place:
    """Where an element is on a network. `short` are the host parts of its addresses, as one writes them beside a bus."""

    network: str
    addresses: tuple[str, ...]
    short: str


@dataclass(frozen=True)
class Node:
    """An element. `identity` is its address of record or what it is to which domains, `notes` what the topology chose about it."""

    name: str
    role: str
    vendor: str
    places: tuple[Place, ...]
    identity: str
    domain: str
    notes: tuple[str, ...]

    @property
    def networks(self) -> tuple[str, ...]:
        """The networks that it is on."""
        return tuple(place.network for place in self.places)


@dataclass(frozen=True)
class Arrow:
    """Requests that go to another server, `text` saying which."""

    to: str
    text: str


@dataclass(frozen=True)
class Realm:
    """A SIP domain: who serves it, its users, and where else requests for it go."""

    name: str
    server: str
    users: tuple[str, ...]
    routes: tuple[Arrow, ...]


@dataclass(frozen=True)
class Picture:
    """Everything that is drawn."""

    name: str
    title: str
    networks: tuple[Bus, ...]
    elements: tuple[Node, ...]
    domains: tuple[Realm, ...]


def picture(topology: Topology, plan: Plan) -> Picture:
    """What there is to see of a plan; `topology` tells what was chosen and what is a default."""
    return Picture(
        name=plan.topology,
        title=clean(plan.title),
        networks=tuple(Bus(net.name, tuple(map(str, net.subnets)), net.private) for net in plan.networks),
        elements=tuple(_node(plan, element, topology.elements[element.name].options) for element in plan.elements),
        domains=tuple(_realm(plan, domain) for domain in plan.domains),
    )


def clean(text: str) -> str:
    """Text of a file made harmless: control, format and surrogate characters become `·` (XML 1.0 §2.2 forbids most of them)."""
    return "".join("·" if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Cn", "Co", "Zl", "Zp") else c for c in text)


def clip(text: str, width: int) -> str:
    """At most `width` characters."""
    return text if len(text) <= width else text[: width - 1] + "…"


def _node(plan: Plan, element: Element, chosen: Mapping[str, object]) -> Node:
    served = [domain.name for domain in plan.domains if domain.proxy == element.name]
    fronted = [domain.name for domain in plan.fronted_by(element.name)]
    faults = [listener for listener in element.listeners if listener.hostname != element.hostname]
    notes = [clean(f"{name}: {_value(value)}") for name, value in chosen.items() if name != SECRET]
    if element.behind:
        notes.insert(0, f"behind {element.behind}")
    if faults:
        notes.append(f"{len(faults)} faulty certificates" if len(faults) > 1 else "a faulty certificate")
    return Node(
        name=element.name,
        role=element.role,
        vendor=f"{element.vendor}@{element.flavour}",
        places=tuple(_place(plan, interface) for interface in element.interfaces),
        identity=element.account.aor.removeprefix("sip:") if element.account else _office(served, fronted),
        domain=element.account.domain if element.account else next(iter((*served, *fronted)), ""),
        notes=tuple(notes),
    )


def _office(served: Sequence[str], fronted: Sequence[str]) -> str:
    """What a server is to domains: it serves them, or it is the way in for their user agents."""
    words = (("serves", served), ("edge of", fronted))
    return "; ".join(f"{word} {', '.join(names)}" for word, names in words if names)


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return f"{len(value)} entries" if len(value) != 1 else "1 entry"
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _place(plan: Plan, interface: Interface) -> Place:
    subnets = next(net.subnets for net in plan.networks if net.name == interface.network)
    short = [_host(str(address), subnet.prefixlen) for address, subnet in zip(interface.addresses, subnets, strict=True)]
    return Place(interface.network, tuple(map(str, interface.addresses)), " ".join(short))


def _host(address: str, prefix: int) -> str:
    """`.30` of an IPv4 address, `::30` of an IPv6 one."""
    return f"::{address.rpartition(':')[2]}" if ":" in address else "." + ".".join(address.split(".")[prefix // 8 :])


def _realm(plan: Plan, domain: Domain) -> Realm:
    users = tuple(element.name for element in plan.elements if element.account and element.account.domain == domain.name)
    return Realm(domain.name, domain.proxy, users, tuple(_arrow(route) for route in domain.routes))


def _arrow(route: Route) -> Arrow:
    """`users +*, over udp`, `all users, after 408 or 486, over udp`."""
    parts = ["all users" if route.user == "*" else f"users {route.user}"]
    if route.on:
        parts.append(f"after {' or '.join(map(str, route.on))}")
    return Arrow(route.element, f"{', '.join(parts)}, over {route.uri.rpartition('transport=')[2]}")

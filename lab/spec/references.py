"""Do the names in a topology exist? What one model cannot see alone: elements, networks, domains and vendors that name each other."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from typing import get_args

from lab.spec.names import nearest
from lab.spec.options import option_problems
from lab.spec.role import SERVERS
from lab.spec.topology import DomainSpec, ElementSpec, Fault, Topology
from lab.spec.validation import Problem
from lab.spec.vendor import Vendor, lacking

LAB_DOMAIN = "siplab.example"
"""The domain of the lab's own hosts (its name server and elements without a SIP domain): no topology may claim it."""

_WITHOUT_ACCOUNT = frozenset({"dns", "proxy", "trunk", "nat", "turn"})


def problems(topology: Topology, vendors: Mapping[str, Vendor]) -> Iterator[Problem]:
    """All references that lead nowhere, with their places."""
    yield from _domains(topology)
    yield from _networks(topology)
    for name, element in topology.elements.items():
        yield from _element(topology, name, element)
        yield from _vendor(name, element, vendors)
    yield from _matrix(topology)


def _domains(topology: Topology) -> Iterator[Problem]:
    for name, domain in topology.domains.items():
        path = ("domains", name)
        if name == LAB_DOMAIN or name.endswith(f".{LAB_DOMAIN}"):
            yield Problem(path, f'"{name}" is the lab\'s own domain', "choose another", key=True)
        yield from _server(topology, domain.proxy, (*path, "proxy"))
        for index, backup in enumerate(domain.backup):
            yield from _server(topology, backup, (*path, "backup", index))
            if backup == domain.proxy:
                yield Problem((*path, "backup", index), f'"{backup}" is the proxy itself', "name another, or none")
        if domain.transit:
            yield from _other_server(topology, domain, domain.transit, (*path, "transit"))
        for index, edge in enumerate(domain.edges):
            yield from _edge(topology, edge, (*path, "edges", index))
        for index, route in enumerate(domain.routes):
            yield from _other_server(topology, domain, route.to, (*path, "routes", index, "to"))
    if topology.domains and not any(element.role == "dns" for element in topology.elements.values()):
        yield Problem(("elements",), "domains need a name server and no element has the role dns", "add one: dns: {role: dns}", key=True)


def _server(topology: Topology, name: str, path: tuple[str | int, ...]) -> Iterator[Problem]:
    """Something that serves a domain has to be a SIP server."""
    element = topology.elements.get(name)
    if element is None:
        yield Problem(path, f'unknown element "{name}"', nearest(name, topology.elements))
    elif element.role not in SERVERS:
        able = [other for other, known in topology.elements.items() if known.role in SERVERS]
        yield Problem(path, f'"{name}" is a {element.role}, which serves no domain', f"SIP servers here: {', '.join(able) or 'none'}")


def _other_server(topology: Topology, domain: DomainSpec, name: str, path: tuple[str | int, ...]) -> Iterator[Problem]:
    """What a domain sends to, or is reached through, must be a SIP server besides the one that serves it."""
    target = topology.elements.get(name)
    if target is None:
        yield Problem(path, f'unknown element "{name}"', nearest(name, topology.elements))
    elif target.role not in SERVERS or name == domain.proxy:
        able = [other for other, element in topology.elements.items() if element.role in SERVERS and other != domain.proxy]
        yield Problem(path, f'"{name}" is no other SIP server', f"SIP servers here: {', '.join(able) or 'none'}")


def _edge(topology: Topology, name: str, path: tuple[str | int, ...]) -> Iterator[Problem]:
    """An edge is a proxy that serves no domain: it must not know the bindings that it hands on (RFC 5626 §5)."""
    element = topology.elements.get(name)
    able = [other for other, known in topology.elements.items() if known.role == "proxy" and not topology.served_by(other)]
    if element is None:
        yield Problem(path, f'unknown element "{name}"', nearest(name, able))
    elif name not in able:
        what = f'"{name}" serves a domain itself' if element.role == "proxy" else f'"{name}" is a {element.role}, not a proxy'
        yield Problem(path, what, f"proxies here that serve none: {', '.join(able) or 'none, add one: edge1: {role: proxy}'}")


def _networks(topology: Topology) -> Iterator[Problem]:
    for name, network in topology.networks.items():
        alone = sum(name in topology.networks_of(element) for element in topology.elements) < 2
        if alone and (network.loss or network.rate or network.delay):
            yield Problem(
                ("networks", name), f'nobody can measure "{name}": it has less than two elements', "put another one there", key=True
            )


def _element(topology: Topology, name: str, element: ElementSpec) -> Iterator[Problem]:
    path = ("elements", name)
    for index, network in enumerate(element.networks or ()):
        if network not in topology.networks:
            yield Problem((*path, "networks", index), f'unknown network "{network}"', nearest(network, topology.networks))
    if element.domain and element.domain not in topology.domains:
        yield Problem((*path, "aor"), f'unknown domain "{element.domain}"', nearest(element.domain, topology.domains))
    yield from _behind(topology, name, element)
    yield from _start_after(topology, name, element)
    if name in get_args(Fault):
        yield Problem(path, f'"{name}" is the host name of a faulty certificate', "choose another name", key=True)
    if element.role == "tool":
        yield Problem((*path, "role"), "a tool is an image, not an element", "choose another role")
    if element.role == "user-agent" and not element.aor:
        yield Problem(path, f'user agent "{name}" has no address of record', "add aor: user@domain", key=True)
    if element.aor and element.role in _WITHOUT_ACCOUNT:
        yield Problem((*path, "aor"), f"a {element.role} has no account", "remove aor", key=True)
    if element.presents and not topology.served_by(name):
        yield Problem((*path, "presents"), f'"{name}" serves no domain and presents no certificate', "remove presents", key=True)
    if element.role == "trunk" and not _shared_with(topology, name, "gateway"):
        yield Problem(path, f'trunk "{name}" is on no network with a gateway', "put both on one network", key=True)
    wrong = option_problems(element.role, element.options, (*path, "options"))
    yield from wrong or _named_in_options(topology, element, (*path, "options"))


def _named_in_options(topology: Topology, element: ElementSpec, path: tuple[str | int, ...]) -> Iterator[Problem]:
    """Subscribers of a gateway, and elements whose questions a name server answers wrongly."""
    if element.role == "gateway":
        subscribers = {other.aor for other in topology.elements.values() if other.aor}
        for number, aor in element.options.get("numbers", {}).items():
            if aor not in subscribers:
                yield Problem((*path, "numbers", number), f'nobody here is "{aor}"', nearest(aor, subscribers))
    elif element.role == "dns":
        for index, fault in enumerate(element.options.get("faults", ())):
            source = fault.get("source")
            if source is not None and source not in topology.elements and not _is_network(source):
                what = f'"{source}" is no element, address or network'
                yield Problem((*path, "faults", index, "source"), what, nearest(source, topology.elements))


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return True


def _shared_with(topology: Topology, name: str, role: str) -> bool:
    """Is an element with that role on one of its networks?"""
    mine = set(topology.networks_of(name))
    return any(mine.intersection(topology.networks_of(other)) for other, element in topology.elements.items() if element.role == role)


def _behind(topology: Topology, name: str, element: ElementSpec) -> Iterator[Problem]:
    """An element that is behind a NAT is on a network inside of it; no NAT is behind itself."""
    path = ("elements", name)
    if element.role == "nat" and len(element.networks or ()) < 2:
        yield Problem(path, f'nat "{name}" is not between networks', "add networks: [outside, inside]", key=True)
    if element.behind is None:
        return
    nats = [other for other, spec in topology.elements.items() if spec.role == "nat" and other != name]
    if element.behind not in nats:
        what = f'"{element.behind}" is no other element with the role nat'
        yield Problem((*path, "behind"), what, nearest(element.behind, nats) if nats else "add one: nat1: {role: nat}")
    elif not set(topology.networks_of(name)) & set(topology.inside_of(element.behind)):
        inside = ", ".join(topology.inside_of(element.behind)) or "none"
        yield Problem((*path, "behind"), f'"{name}" is on no network inside of "{element.behind}"', f"its inside: {inside}")
    elif name in _nats_before(topology, element.behind):
        yield Problem((*path, "behind"), f'"{name}" is behind itself', "let one of these NATs be on the outside")


def _start_after(topology: Topology, name: str, element: ElementSpec) -> Iterator[Problem]:
    for index, other in enumerate(element.start_after):
        path = ("elements", name, "start_after", index)
        if other not in topology.elements:
            yield Problem(path, f'unknown element "{other}"', nearest(other, topology.elements))
        elif name in _started_before(topology, other):
            yield Problem(path, f'"{name}" would wait for itself', f'let "{other}" not start after it')


def _started_before(topology: Topology, name: str) -> set[str]:
    """`name` and everything that it waits for, directly or not."""
    found: set[str] = set()
    left = [name]
    while left:
        here = left.pop()
        if here in topology.elements and here not in found:
            found.add(here)
            left += topology.elements[here].start_after
    return found


def _nats_before(topology: Topology, nat: str) -> list[str]:
    """The NATs on the way out from `nat`, itself first."""
    found: list[str] = []
    here: str | None = nat
    while here is not None and here in topology.elements and here not in found:
        found.append(here)
        here = topology.elements[here].behind
    return found


def _vendor(name: str, element: ElementSpec, vendors: Mapping[str, Vendor]) -> Iterator[Problem]:
    if element.vendor is None:
        return
    path = ("elements", name, "vendor")
    wanted, _, flavour = element.vendor.partition("@")
    vendor = vendors.get(wanted)
    if vendor is None:
        yield Problem(path, f'unknown vendor "{wanted}"', nearest(wanted, vendors))
    elif element.role not in vendor.roles:
        able = [other.name for other in vendors.values() if element.role in other.roles]
        yield Problem(path, f'vendor "{wanted}" cannot be a {element.role}', f"vendors that can: {', '.join(able) or 'none'}")
    elif flavour and flavour not in vendor.flavours:
        yield Problem(path, f'vendor "{wanted}" has no flavour "{flavour}"', nearest(flavour, vendor.flavours))
    elif absent := lacking(vendor, flavour or vendor.default, element.role, element.needs):
        what = f'"{name}" needs {", ".join(absent)}, which {wanted}@{flavour or vendor.default} does not declare'
        yield Problem(path, what, f"vendors that do: {', '.join(able_to(element, vendors)) or 'none'}")


def able_to(element: ElementSpec, vendors: Mapping[str, Vendor]) -> list[str]:
    """Vendors, sorted, whose default flavour can play an element: they have its role and declare what it needs."""
    return [
        name
        for name, vendor in sorted(vendors.items())
        if element.role in vendor.roles and not lacking(vendor, vendor.default, element.role, element.needs)
    ]


def _matrix(topology: Topology) -> Iterator[Problem]:
    seen: set[str] = set()
    for row, names in enumerate(topology.matrix):
        for column, name in enumerate(names):
            path = ("matrix", row, column)
            if name not in topology.elements:
                yield Problem(path, f'unknown element "{name}"', nearest(name, topology.elements))
            elif name in seen:
                yield Problem(path, f'"{name}" is in the matrix twice', "remove one")
            seen.add(name)

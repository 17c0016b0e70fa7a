"""The plan: everything a lab will be, decided before anything starts.

A plan is plain frozen data. It is the only thing that rendering, the runtime and the evidence know of a topology, so that what is
run, what `siplab plan` prints and what the golden files hold cannot differ.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Literal

from lab.errors import PlanError
from lab.spec.role import AGENTS

Transport = Literal["udp", "tcp", "tls"]
Fault = Literal["none", "wrong-san", "unknown-ca", "expired", "not-yet-valid"]
Address = IPv4Address | IPv6Address


def host(address: Address) -> str:
    """An address as a URI has it (RFC 3986 §3.2.2): IPv6 in brackets."""
    return f"[{address}]" if address.version == 6 else str(address)


@dataclass(frozen=True)
class Network:
    """One sealed Docker network. A family that it has not is None.

    `loss` is a probability per packet and direction, `rate` the bits per second that each element receives at most, `delay` the seconds in
    each direction; 0 for none.
    """

    name: str
    ipv4: IPv4Network | None
    ipv6: IPv6Network | None
    private: bool = False
    loss: float = 0.0
    rate: int = 0
    delay: float = 0.0

    @property
    def subnets(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """Of each family that it has, IPv4 first."""
        return tuple(subnet for subnet in (self.ipv4, self.ipv6) if subnet is not None)


@dataclass(frozen=True)
class Interface:
    """An element's place on a network. Addresses are static: DNS zones and certificates are made before the start."""

    network: str
    ipv4: IPv4Address | None
    ipv6: IPv6Address | None

    @property
    def addresses(self) -> tuple[Address, ...]:
        """One of each family that the network has, IPv4 first."""
        return tuple(address for address in (self.ipv4, self.ipv6) if address is not None)

    @property
    def hosts(self) -> tuple[str, ...]:
        """The addresses as a URI has them (RFC 3986 §3.2.2): IPv6 in brackets."""
        return tuple(host(address) for address in self.addresses)


@dataclass(frozen=True)
class IpRoute:
    """Packets to `destination` leave by the router `gateway`, which is on a network of the element that has the route."""

    destination: IPv4Network | IPv6Network
    gateway: Address


@dataclass(frozen=True)
class CertificateRequest:
    """A certificate to be issued when the plan is rendered (RFC 5922 §7.1: the domain is in the SAN, as DNS name and as SIP URI).

    `name` is the file stem below the element's TLS folder. `fault` says what shall be wrong with it: the request still names the
    right identity, and the PKI breaks exactly one thing.
    """

    name: str
    common_name: str
    dns_names: tuple[str, ...]
    uris: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    fault: Fault = "none"
    usage: Literal["server", "user"] = "server"


@dataclass(frozen=True)
class Listener:
    """A socket that a SIP server opens. `hostname` is the name that clients dial, `certificate` the stem of the one it presents."""

    transport: Transport
    port: int
    hostname: str
    certificate: str | None = None


@dataclass(frozen=True)
class Account:
    """A subscriber: provisioned at the registrar of `domain`, used by the user agents that play it. `password` is per lab."""

    username: str
    domain: str
    password: str

    @property
    def aor(self) -> str:
        """Address of record (RFC 3261 §6)."""
        return f"sip:{self.username}@{self.domain}"


@dataclass(frozen=True)
class Record:
    """One DNS record in zone-file terms; `name` is relative to the zone's origin, `@` for the apex."""

    name: str
    ttl: int
    type: str
    data: str


@dataclass(frozen=True)
class Zone:
    """An authoritative zone that the lab's DNS serves. `origin` has no trailing dot."""

    origin: str
    records: tuple[Record, ...]


@dataclass(frozen=True)
class Route:
    """Requests to users that match the glob `user` go to the server `element`, at `uri`.

    At once, or only `on` these final responses of the user's own contacts; 408 is no answer in time. With `event`, only SUBSCRIBE requests
    for that package.
    """

    user: str
    on: tuple[int, ...]
    element: str
    uri: str
    event: str = ""


@dataclass(frozen=True)
class Domain:
    """A SIP domain: who serves it, its subscribers, what goes elsewhere, the server before it that the DNS names, if there is one, and the
    proxies that its user agents register through (RFC 5626 §3.1)."""

    name: str
    proxy: str
    accounts: tuple[Account, ...]
    routes: tuple[Route, ...] = ()
    transit: str | None = None
    backup: tuple[str, ...] = ()
    edges: tuple[str, ...] = ()

    @property
    def entrances(self) -> tuple[str, ...]:
        """Where its user agents send what they send, in the order in which they are to use them: its edges, or else its proxy."""
        return self.edges or (self.proxy,)

    @property
    def servers(self) -> tuple[str, ...]:
        """Who serves it, in the order in which they are to be tried."""
        return (self.proxy, *self.backup)


@dataclass(frozen=True)
class Element:
    """One node, bound to a vendor and a flavour."""

    name: str
    role: str
    vendor: str
    flavour: str
    interfaces: tuple[Interface, ...]
    hostname: str
    domain: str | None = None
    account: Account | None = None
    listeners: tuple[Listener, ...] = ()
    certificates: tuple[CertificateRequest, ...] = ()
    tone_hz: int | None = None
    options: dict[str, object] = field(default_factory=dict)
    behind: str | None = None
    ip_routes: tuple[IpRoute, ...] = ()
    start_after: tuple[str, ...] = ()

    @property
    def has_agent(self) -> bool:
        """Is it driven through an agent, for which it holds a configuration?"""
        return self.role in AGENTS

    @property
    def ipv4(self) -> IPv4Address | None:
        """The first IPv4 address in the order of its networks, which is what the DNS publishes; None where it has none."""
        return next((place.ipv4 for place in self.interfaces if place.ipv4 is not None), None)

    @property
    def ipv6(self) -> IPv6Address | None:
        """The first IPv6 address, likewise."""
        return next((place.ipv6 for place in self.interfaces if place.ipv6 is not None), None)

    @property
    def addresses(self) -> tuple[Address, ...]:
        """What the DNS publishes, IPv4 first."""
        return tuple(address for address in (self.ipv4, self.ipv6) if address is not None)

    @property
    def host(self) -> str:
        """Its published address as a URI has it, IPv4 where it has one."""
        return host(self.addresses[0])

    @property
    def settling(self) -> tuple[str, ...]:
        """What its network namespace lacks after its start, as arguments of the helper image's settle.sh: routes, and the addresses of
        interfaces that shall have no IPv4, which not every engine can leave out."""
        routes = (word for route in self.ip_routes for word in (str(route.destination), "via", str(route.gateway)))
        return (*routes, *(str(place.ipv6) for place in self.interfaces if place.ipv4 is None))

    def on(self, network: str) -> Interface | None:
        """Its place on a network; None where it is not on it."""
        return next((place for place in self.interfaces if place.network == network), None)


@dataclass(frozen=True)
class Plan:
    """A topology with vendors bound and everything numbered. Same inputs, same plan: `seed` feeds every choice."""

    topology: str
    title: str
    seed: int
    networks: tuple[Network, ...]
    domains: tuple[Domain, ...]
    elements: tuple[Element, ...]
    zones: tuple[Zone, ...]
    matrix: tuple[tuple[str, ...], ...] = ()

    def element(self, name: str) -> Element:
        """The element called `name`; KeyError where there is none."""
        for element in self.elements:
            if element.name == name:
                return element
        raise KeyError(name)

    def domain(self, name: str) -> Domain:
        """The domain called `name`; KeyError where there is none."""
        for domain in self.domains:
            if domain.name == name:
                return domain
        raise KeyError(name)

    def fronted_by(self, edge: str) -> tuple[Domain, ...]:
        """The domains whose user agents register through this server."""
        return tuple(domain for domain in self.domains if edge in domain.edges)

    def waves(self) -> tuple[tuple[Element, ...], ...]:
        """The elements in the order in which they start: each when all that it waits for are ready, otherwise as early as can be."""
        waves: list[tuple[Element, ...]] = []
        ready: set[str] = set()
        while len(ready) < len(self.elements):
            wave = tuple(e for e in self.elements if e.name not in ready and ready.issuperset(e.start_after))
            if not wave:
                raise PlanError("elements wait for each other", remedy="see start_after")
            waves.append(wave)
            ready.update(element.name for element in wave)
        return tuple(waves)

    def with_role(self, role: str) -> tuple[Element, ...]:
        """All elements that play `role`, in the topology's order."""
        return tuple(element for element in self.elements if element.role == role)

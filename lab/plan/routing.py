"""Which way packets leave: through the NATs and firewalls of the topology."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import IPv4Network, IPv6Network

from lab.plan.model import Interface, IpRoute, Network
from lab.spec.topology import Topology

_EVERYWHERE: Mapping[int, IPv4Network | IPv6Network] = {4: IPv4Network("0.0.0.0/0"), 6: IPv6Network("::/0")}

Places = Mapping[str, tuple[Interface, ...]]
"""Where each element is."""


def ip_routes(name: str, topology: Topology, places: Places, networks: Mapping[str, Network]) -> tuple[IpRoute, ...]:
    """The routes of an element beyond those to the networks that it is on.

    Behind a NAT, the way to everywhere is the NAT's address on the first network that both are on. To a network behind a NAT that is not
    private (a firewall has such), those outside have a route; into a private one nobody has.
    """
    return (*_way_out(name, topology, places), *_ways_in(name, topology, places, networks))


def _way_out(name: str, topology: Topology, places: Places) -> Iterator[IpRoute]:
    nat = topology.elements[name].behind
    if nat is None:
        return
    shared = next(network for network in topology.inside_of(nat) if _on(places[name], network))
    yield from _common(places[nat], places[name], shared)


def _common(routers: tuple[Interface, ...], users: tuple[Interface, ...], network: str) -> Iterator[IpRoute]:
    router, user = _on(routers, network), _on(users, network)
    if router and user:
        families = {address.version for address in user.addresses}
        yield from (IpRoute(_EVERYWHERE[a.version], a) for a in router.addresses if a.version in families)


def _ways_in(name: str, topology: Topology, places: Places, networks: Mapping[str, Network]) -> Iterator[IpRoute]:
    for nat in (other for other, spec in topology.elements.items() if spec.role == "nat" and other != name):
        outside = topology.networks_of(nat)[0]
        own = set(topology.networks_of(name))
        if outside not in own or topology.elements[name].behind == nat:
            continue
        for way in _common(places[nat], places[name], outside):
            for subnet in _reachable(nat, topology, networks):
                if subnet.version == way.gateway.version and not any(subnet in networks[network].subnets for network in own):
                    yield IpRoute(subnet, way.gateway)


def _reachable(nat: str, topology: Topology, networks: Mapping[str, Network]) -> Iterator[IPv4Network | IPv6Network]:
    """Subnets inside of `nat`, and of those behind it, that can be reached from outside."""
    for network in topology.inside_of(nat):
        if not networks[network].private:
            yield from networks[network].subnets
    for other, spec in topology.elements.items():
        if spec.role == "nat" and spec.behind == nat:
            yield from _reachable(other, topology, networks)


def _on(places: tuple[Interface, ...], network: str) -> Interface | None:
    return next((place for place in places if place.network == network), None)

"""Numbers for networks and elements: static, so that zones and certificates can be made before anything starts."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from lab.errors import PlanError
from lab.plan.model import Interface, Network
from lab.spec.topology import Topology

Lease = tuple[IPv4Network, IPv6Network]
"""The subnets of one network."""

_POOL4 = IPv4Network("198.18.0.0/15")  # RFC 2544 §C.2.2: for tests, never routed
_POOL6 = IPv6Network("2001:db8::/48")  # RFC 3849: for documentation
_SIZE4, _SIZE6 = 24, 64
_FIRST_HOST = {"dns": 10, "proxy": 20, "user-agent": 30}
_OTHERS = 60


def number_networks(topology: Topology, leases: Mapping[str, Lease] | None) -> tuple[Network, ...]:
    """The topology's networks with their leased subnets, or without leases with default ones: 198.18.N.0/24 and 2001:db8:0:N+1::/64."""
    if leases is None:
        return tuple(Network(name, *_default_lease(index, name)) for index, name in enumerate(topology.networks))
    unleased = [name for name in topology.networks if name not in leases]
    if unleased:
        raise PlanError(f'network "{unleased[0]}" has no lease', remedy="lease subnets for all networks or for none")
    networks = tuple(Network(name, *leases[name]) for name in topology.networks)
    _check_disjoint(networks)
    return networks


def host_numbers(topology: Topology) -> dict[str, int]:
    """A host number per element, the same on each of its networks.

    Name servers start at 10, proxies at 20, user agents at 30, others at 60. Where a role has more elements than its range, the next role
    moves up. 1 stays free: it is the engine's gateway.
    """
    first = {name: _FIRST_HOST.get(element.role, _OTHERS) for name, element in topology.elements.items()}
    numbers: dict[str, int] = {}
    last = 1
    for name in sorted(first, key=first.__getitem__):
        last = numbers[name] = max(first[name], last + 1)
    return numbers


def interface(element: str, host: int, network: Network) -> Interface:
    """The element's addresses on a network. IPv6 shows the same digits: host 10 is ….10 and …::10."""
    mirrored = int(str(host), 16)
    if host >= network.ipv4.num_addresses - 1:
        raise PlanError(f'no address for "{element}" in {network.ipv4} of network "{network.name}"', remedy="lease a larger subnet")
    if mirrored >= network.ipv6.num_addresses:
        raise PlanError(f'no address for "{element}" in {network.ipv6} of network "{network.name}"', remedy="lease a larger subnet")
    ipv4 = IPv4Address(int(network.ipv4.network_address) + host)
    return Interface(network.name, ipv4, IPv6Address(int(network.ipv6.network_address) + mirrored))


def _default_lease(index: int, name: str) -> Lease:
    base4 = int(_POOL4.network_address) + (index << (32 - _SIZE4))
    base6 = int(_POOL6.network_address) + ((index + 1) << (128 - _SIZE6))
    if IPv4Address(base4) not in _POOL4:
        raise PlanError(f'no subnet left in {_POOL4} for network "{name}"', remedy="use fewer networks")
    return IPv4Network((base4, _SIZE4)), IPv6Network((base6, _SIZE6))


def _check_disjoint(networks: tuple[Network, ...]) -> None:
    for index, one in enumerate(networks):
        for other in networks[:index]:
            if one.ipv4.overlaps(other.ipv4) or one.ipv6.overlaps(other.ipv6):
                raise PlanError(f'the leases of networks "{other.name}" and "{one.name}" overlap', remedy="lease disjoint subnets")

"""Numbers for networks and elements: static, so that zones and certificates can be made before anything starts."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Network

from lab.errors import PlanError
from lab.plan.model import Interface, Network
from lab.spec.topology import NetworkSpec, Topology

Lease = tuple[IPv4Network | None, IPv6Network | None]
"""The subnets of one network; None for a family that it has not."""

_POOL4 = IPv4Network("198.18.0.0/15")  # RFC 2544 §C.2.2: for tests, never routed
_POOL6 = IPv6Network("2001:db8::/48")  # RFC 3849: for documentation
_PRIVATE4 = IPv4Network("10.64.0.0/10")  # of RFC 1918's 10/8
_PRIVATE6 = IPv6Network("fd51:ab1a:b000::/48")  # RFC 4193 §3.1
_SIZE4, _SIZE6 = 24, 64
_FIRST_HOST = {"dns": 10, "proxy": 20, "user-agent": 30}
_OTHERS = 60


def number_networks(topology: Topology, leases: Mapping[str, Lease] | None) -> tuple[Network, ...]:
    """The topology's networks with their leased subnets, or without leases with default ones.

    Those are 198.18.N.0/24 and 2001:db8:0:N+1::/64, of private networks 10.64.N.0/24 and fd51:ab1a:b000:N+1::/64.
    """
    if leases is None:
        leases = {name: _default_lease(index, name, spec) for index, (name, spec) in enumerate(topology.networks.items())}
    unleased = [name for name in topology.networks if name not in leases]
    if unleased:
        raise PlanError(f'network "{unleased[0]}" has no lease', remedy="lease subnets for all networks or for none")
    networks = tuple(_network(name, spec, leases[name]) for name, spec in topology.networks.items())
    _check_disjoint(networks)
    return networks


def _network(name: str, spec: NetworkSpec, lease: Lease) -> Network:
    ipv4, ipv6 = lease
    return Network(
        name,
        ipv4 if spec.ipv4 else None,
        ipv6 if spec.ipv6 else None,
        spec.private,
        loss=float(spec.loss.rstrip("%")) / 100 if spec.loss else 0.0,
        rate=int(spec.rate[:-4]) * (1_000 if spec.rate.endswith("kbit") else 1_000_000) if spec.rate else 0,
        delay=int(spec.delay.removesuffix("ms")) / 1000 if spec.delay else 0.0,
    )


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
    for subnet, number in ((network.ipv4, host + 1), (network.ipv6, mirrored)):  # IPv4's last address is the broadcast address
        if subnet and number >= subnet.num_addresses:
            raise PlanError(f'no address for "{element}" in {subnet} of network "{network.name}"', remedy="lease a larger subnet")
    return Interface(network.name, network.ipv4[host] if network.ipv4 else None, network.ipv6[mirrored] if network.ipv6 else None)


def _default_lease(index: int, name: str, spec: NetworkSpec) -> Lease:
    pool4, pool6 = (_PRIVATE4, _PRIVATE6) if spec.private else (_POOL4, _POOL6)
    base4 = int(pool4.network_address) + (index << (32 - _SIZE4))
    base6 = int(pool6.network_address) + ((index + 1) << (128 - _SIZE6))
    if IPv4Address(base4) not in pool4:
        raise PlanError(f'no subnet left in {pool4} for network "{name}"', remedy="use fewer networks")
    return IPv4Network((base4, _SIZE4)), IPv6Network((base6, _SIZE6))


def _check_disjoint(networks: tuple[Network, ...]) -> None:
    for index, one in enumerate(networks):
        for other in networks[:index]:
            if any(mine.version == theirs.version and mine.overlaps(theirs) for mine in one.subnets for theirs in other.subnets):
                raise PlanError(f'the leases of networks "{other.name}" and "{one.name}" overlap', remedy="lease disjoint subnets")

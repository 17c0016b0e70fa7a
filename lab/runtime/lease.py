"""Leasing subnets: labs run side by side, on an engine and a host that already use some addresses.

Nothing is reserved beforehand. A lease *is* a created network: the engine refuses an overlapping one, which makes it atomic between
threads, processes and machines. Each lab starts to look at another place, so that labs seldom try the same subnet.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path

from lab.errors import RuntimeFault
from lab.runtime.base import NetworkSpec, Runtime, SubnetInUse
from lab.runtime.labels import Identity

Subnet = IPv4Network | IPv6Network
BENCHMARKING = IPv4Network("198.18.0.0/15")
DOCUMENTATION = IPv6Network("2001:db8::/32")


@dataclass(frozen=True)
class Pool:
    """Where leases come from. Default: the benchmarking range (RFC 2544, RFC 6890) and the documentation prefix (RFC 3849).

    Candidate `i` is the i-th /24 of the pool together with the /64 that has the same number (198.18.32.0/24 goes with
    2001:db8:0:20::/64), so that the two families of a network are recognisable as one.
    """

    ipv4: IPv4Network = BENCHMARKING
    ipv6: IPv6Network = DOCUMENTATION

    def __len__(self) -> int:
        return 1 << (24 - self.ipv4.prefixlen)

    def candidate(self, index: int) -> tuple[IPv4Network, IPv6Network]:
        """The `index`-th pair, wrapping round."""
        ipv4 = IPv4Network((int(self.ipv4.network_address) + (index % len(self)) * 256, 24))
        number = (int(ipv4.network_address) - int(BENCHMARKING.network_address)) // 256 % (1 << 32)
        return ipv4, IPv6Network((int(self.ipv6.network_address) + (number << 64), 64))


@dataclass(frozen=True)
class Lease:
    """A network of a topology, created: `name` in the topology, `handle` at the engine."""

    name: str
    handle: str
    spec: NetworkSpec


def lease_networks(
    runtime: Runtime, identity: Identity, names: Sequence[str], pool: Pool | None = None, *, first: int = 0
) -> tuple[Lease, ...]:
    """Create a sealed network for every name, on subnets nobody uses. On an error the networks already made are removed.

    `first` numbers the bridges: how many networks the lab has already.
    """
    pool = pool or Pool()
    taken = [*runtime.taken_subnets(), *host_routes()]
    start = int.from_bytes(sha256(identity.lab.encode()).digest()[:4], "big")
    free = (pair for pair in (pool.candidate(start + step) for step in range(len(pool))) if not _overlaps(pair, taken))
    leases: list[Lease] = []
    try:
        for index, name in enumerate(names, first):
            leases.append(_lease(runtime, identity, name, index, free))
    except BaseException:
        for lease in leases:
            runtime.remove_network(lease.handle)
        raise
    return tuple(leases)


def _lease(runtime: Runtime, identity: Identity, name: str, index: int, free: Iterator[tuple[IPv4Network, IPv6Network]]) -> Lease:
    for ipv4, ipv6 in free:
        spec = NetworkSpec(identity.name(name), identity.bridge(index), ipv4, ipv6, identity.labels(network=name))
        try:
            return Lease(name, runtime.create_network(spec), spec)
        except SubnetInUse:
            continue
    raise RuntimeFault(
        f"network {name}: no free subnet left in the lab's address pool", remedy="end other labs: `siplab ps`, `siplab down`"
    )


def _overlaps(pair: tuple[IPv4Network, IPv6Network], taken: Sequence[Subnet]) -> bool:
    return any(ours.overlaps(theirs) for ours in pair for theirs in taken if ours.version == theirs.version)


def host_routes(proc: Path = Path("/proc/net")) -> list[Subnet]:
    """Routes of this machine but the default ones. Where the engine is remote they merely make the choice a little smaller."""
    return [*_routes4(proc / "route"), *_routes6(proc / "ipv6_route")]


def _routes4(path: Path) -> Iterator[IPv4Network]:
    for line in _rows(path)[1:]:
        fields = line.split()
        address, mask = (int.from_bytes(bytes.fromhex(fields[at]), "little") for at in (1, 7))
        if mask:
            yield IPv4Network((address, mask.bit_count()))


def _routes6(path: Path) -> Iterator[IPv6Network]:
    for line in _rows(path):
        fields = line.split()
        network = ip_network((bytes.fromhex(fields[0]), int(fields[1], 16)), strict=False)
        if isinstance(network, IPv6Network) and network.prefixlen and not (network.is_multicast or network.is_link_local):
            yield network


def _rows(path: Path) -> list[str]:
    """A kernel without that family has no such file."""
    try:
        return path.read_text().splitlines()
    except FileNotFoundError:
        return []

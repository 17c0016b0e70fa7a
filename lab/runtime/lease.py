"""Leasing subnets: labs run side by side, on an engine and a host that already use some addresses.

Nothing is reserved beforehand. A lease *is* a created network: the engine refuses an overlapping one, which makes it atomic between
threads, processes and machines. Each lab starts to look at another place, so that labs seldom try the same subnet.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
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
PRIVATE = IPv4Network("10.64.0.0/10")
UNIQUE_LOCAL = IPv6Network("fd51:ab1a:b000::/48")


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
        origin = PRIVATE if ipv4.subnet_of(PRIVATE) else BENCHMARKING
        number = (int(ipv4.network_address) - int(origin.network_address)) // 256 % (1 << 32)
        return ipv4, IPv6Network((int(self.ipv6.network_address) + (number << 64), 64))


PRIVATE_POOL = Pool(PRIVATE, UNIQUE_LOCAL)
"""For private networks: a part of RFC 1918's 10/8 that few use, and a unique local prefix (RFC 4193)."""


@dataclass(frozen=True)
class Request:
    """A network that is wanted: of which kind, and with which families."""

    name: str
    private: bool = False
    ipv4: bool = True
    ipv6: bool = True


@dataclass(frozen=True)
class Lease:
    """A network of a topology, created: `name` in the topology, `handle` at the engine. `ipv4` is None where elements shall have none."""

    name: str
    handle: str
    spec: NetworkSpec
    with_ipv4: bool = True

    @property
    def ipv4(self) -> IPv4Network | None:
        """The subnet that elements get addresses from."""
        return self.spec.ipv4 if self.with_ipv4 else None

    @property
    def ipv6(self) -> IPv6Network | None:
        """The subnet that elements get addresses from."""
        return self.spec.ipv6

    @property
    def gateways(self) -> tuple[str, ...]:
        """Where an engine expects the host to be: what must not answer."""
        return tuple(str(subnet.network_address + 1) for subnet in (self.spec.ipv4, self.spec.ipv6) if subnet)


def lease_networks(
    runtime: Runtime, identity: Identity, wanted: Sequence[str | Request], pool: Pool | None = None, *, first: int = 0
) -> tuple[Lease, ...]:
    """Create a sealed network for each, on subnets nobody uses; a name stands for a public one with both families. On an error the
    networks already made are removed.

    `first` numbers the bridges: how many networks the lab has already.
    """
    taken = [*runtime.taken_subnets(), *host_routes()]
    start = int.from_bytes(sha256(identity.lab.encode()).digest()[:4], "big")
    free = {private: _free(pool, start, taken) for private, pool in ((False, pool or Pool()), (True, PRIVATE_POOL))}
    leases: list[Lease] = []
    try:
        for index, each in enumerate(wanted, first):
            request = Request(each) if isinstance(each, str) else each
            leases.append(_lease(runtime, identity, request, index, free[request.private]))
    except BaseException:
        for lease in leases:
            runtime.remove_network(lease.handle)
        raise
    return tuple(leases)


def _free(pool: Pool, start: int, taken: Sequence[Subnet]) -> Iterator[tuple[IPv4Network, IPv6Network]]:
    return (pair for pair in (pool.candidate(start + step) for step in range(len(pool))) if not _overlaps(pair, taken))


def _lease(runtime: Runtime, identity: Identity, request: Request, index: int, free: Iterable[tuple[IPv4Network, IPv6Network]]) -> Lease:
    name = request.name
    for ipv4, ipv6 in free:
        labels = identity.labels(network=name)
        spec = NetworkSpec(identity.name(name), identity.bridge(index), ipv4, ipv6 if request.ipv6 else None, labels)
        try:
            return Lease(name, runtime.create_network(spec), spec, request.ipv4)
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

"""Where a request for a URI goes (RFC 3263): NAPTR, SRV, addresses, in the order in which they are to be tried."""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Sequence
from dataclasses import dataclass

import dns.asyncresolver
import dns.exception
import dns.resolver
from sipmessage import URI

from .fault import TransportError
from .transports import PORTS, Hop

SERVICES = {"SIPS+D2T": "tls", "SIP+D2T": "tcp", "SIP+D2U": "udp"}
PREFIXES = {"tls": "_sips._tcp", "tcp": "_sip._tcp", "udp": "_sip._udp"}
LIFETIME = 5.0


@dataclass(frozen=True)
class Target:
    """A host name and port still to be looked up."""

    transport: str
    host: str
    port: int


class Resolver:
    """Asks the name servers it is given, and no others."""

    def __init__(self, servers: Sequence[str], transports: Sequence[str] = ("udp", "tcp", "tls")) -> None:
        self._transports = tuple(transports)
        self._resolver = dns.asyncresolver.Resolver(configure=False)
        self._resolver.nameservers = list(servers)
        self._resolver.lifetime = LIFETIME

    async def hops(self, uri: URI, family: int = 4) -> list[Hop]:
        """Everything to try, best first, in one address family; never empty. TransportError where the name has no such address."""
        host = uri.host.strip("[]")
        if uri.port is not None and not 0 < uri.port < 65536:
            raise TransportError(f"{uri}: {uri.port} is no port")
        found, wrong = [], f"{uri}: no IPv{family} address for {host}"
        for target in await self._targets(uri, host):
            try:
                found += [Hop(target.transport, (address, target.port), host) for address in await self._addresses(target.host, family)]
            except TransportError as error:
                wrong = str(error)
        if not found:
            raise TransportError(wrong)
        return found

    async def _targets(self, uri: URI, host: str) -> list[Target]:
        """RFC 3263 §4.1 and §4.2. TLS checks the domain of the URI, not the name that SRV leads to (RFC 5922 §4)."""
        given = self._given(uri)
        transport = "tls" if uri.scheme == "sips" else given
        if _numeric(host) or uri.port is not None:
            transport = transport or "udp"
            return [Target(transport, host, uri.port or PORTS[transport])]
        wanted = (transport,) if transport else self._transports
        services = [] if given else await self._naptr(host, wanted)
        denied = False
        for name, service in services or [(name, f"{PREFIXES[name]}.{host}") for name in wanted]:
            records = await self._ask(service, "SRV")
            targets = _in_order(name, records)
            if targets:
                return targets
            denied = denied or bool(records)
        if denied:
            raise TransportError(f"{uri}: the DNS says that there is no such service (RFC 2782)")
        transport = transport or "udp"
        return [Target(transport, host, PORTS[transport])]

    def _given(self, uri: URI) -> str:
        """The transport that a URI names, "" for none. TransportError where it is not ours, or none for what the URI asks."""
        given = (uri.parameters.get("transport") or "").lower()
        if given and given not in self._transports:
            raise TransportError(f"{uri}: transport {given} is not ours")
        if uri.scheme == "sips" and given == "udp":
            raise TransportError(f"{uri}: no TLS over udp (RFC 5630 §3.1)")
        return given

    async def _naptr(self, host: str, wanted: Sequence[str]) -> list[tuple[str, str]]:
        """Transports of those that are wanted, and the names of their SRV records, in the order of the domain."""
        records = [record for record in await self._ask(host, "NAPTR") if record.service.decode().upper() in SERVICES]
        ordered = sorted(records, key=lambda record: (record.order, record.preference))
        chosen = [(SERVICES[record.service.decode().upper()], str(record.replacement)) for record in ordered]
        return [(transport, name) for transport, name in chosen if transport in wanted]

    async def _addresses(self, host: str, family: int) -> list[str]:
        if _numeric(host):
            return [host] if (":" in host) == (family == 6) else []
        return [record.address for record in await self._ask(host, "AAAA" if family == 6 else "A")]

    async def _ask(self, name: str, kind: str) -> list:  # type: ignore[type-arg]  # records have the members of their kind
        try:
            return list(await self._resolver.resolve(name, kind, search=False))
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return []
        except dns.exception.DNSException as error:
            raise TransportError(f"DNS: {kind} of {name}: {error}") from error


def _in_order(transport: str, records: list) -> list[Target]:  # type: ignore[type-arg]
    """Lower priority first, and within one by weighted chance (RFC 2782); none for a record that denies the service."""
    ordered = sorted(records, key=lambda record: (record.priority, -(random.random() ** (1 / max(record.weight, 0.01)))))  # noqa: S311 - load sharing
    return [Target(transport, str(record.target).rstrip("."), record.port) for record in ordered if str(record.target) != "."]


def families(host: str) -> tuple[int, ...]:
    """IP versions by which a host can perhaps be reached, the one to be tried first at the front: of an address its own."""
    return (6,) if ":" in host else (4,) if _numeric(host) else (4, 6)


def _numeric(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True

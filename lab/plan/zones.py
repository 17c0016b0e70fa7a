"""The zones of the lab's DNS: what RFC 3263 needs to find a domain's proxy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lab.plan.model import Domain, Element, Listener, Record, Zone
from lab.spec.references import LAB_DOMAIN

TTL = 5
"""Seconds. Short, because scenarios change answers while elements run."""

_SERVICES = {
    "tls": ("_sips._tcp", "SIPS+D2T"),
    "tcp": ("_sip._tcp", "SIP+D2T"),
    "udp": ("_sip._udp", "SIP+D2U"),
}
"""Transport -> SRV prefix and NAPTR service (RFC 3263 §4.1), the most secure first."""


def make_zones(domains: Iterable[Domain], elements: Sequence[Element]) -> tuple[Zone, ...]:
    """One zone per SIP domain and one for the lab's own hosts; none where the lab has no name server.

    A domain's apex has no address: a client that skips NAPTR and SRV must fail, not be lucky.
    """
    servers = [element.hostname for element in elements if element.role == "dns"]
    if not servers:
        return ()
    zones = [Zone(domain.name, (*_authority(servers), *_domain(domain, elements), *_hosts(domain.name, elements))) for domain in domains]
    return (*zones, Zone(LAB_DOMAIN, (*_authority(servers), *_hosts(LAB_DOMAIN, elements))))


def _domain(domain: Domain, elements: Sequence[Element]) -> list[Record]:
    """Where the domain is entered, its transit or else its servers, and each host name of its proxy that presents a faulty certificate,
    which can be dialled as a domain too."""
    by_name = {element.name: element for element in elements}
    proxy = by_name[domain.proxy]
    entrances = [by_name[name] for name in ((domain.transit,) if domain.transit else domain.servers)]
    records = _service("@", domain.name, *([each for each in server.listeners if each.hostname == server.hostname] for server in entrances))
    if proxy.domain == domain.name:
        for listener in proxy.listeners:
            if listener.hostname != proxy.hostname:
                records += _service(_relative(listener.hostname, domain.name), listener.hostname, [listener])
    return records


def _hosts(origin: str, elements: Sequence[Element]) -> list[Record]:
    """A and AAAA of every host name that has its home in the zone, those on its first network first."""
    records = []
    for element in elements:
        if (element.domain or LAB_DOMAIN) == origin:
            for hostname in dict.fromkeys((element.hostname, *(listener.hostname for listener in element.listeners))):
                name = _relative(hostname, origin)
                every = (at for place in element.interfaces for at in place.addresses)
                records += [Record(name, TTL, "AAAA" if at.version == 6 else "A", str(at)) for at in every]
    return records


def _authority(servers: Sequence[str]) -> list[Record]:
    soa = Record("@", TTL, "SOA", f"{servers[0]}. hostmaster.{LAB_DOMAIN}. 1 60 60 600 {TTL}")
    return [soa, *(Record("@", TTL, "NS", f"{server}.") for server in servers)]


def _service(owner: str, name: str, *servers: Sequence[Listener]) -> list[Record]:
    """NAPTR and SRV records of `name`, which is `owner` in its zone, for each transport that is listened on; each server is to be tried
    after the one before it (RFC 2782, priority)."""
    naptr: list[Record] = []
    srv: list[Record] = []
    for transport, (prefix, service) in _SERVICES.items():
        where = prefix if owner == "@" else f"{prefix}.{owner}"
        found = [
            Record(where, TTL, "SRV", f"{10 * number} 60 {listener.port} {listener.hostname}.")
            for number, listeners in enumerate(servers, 1)
            for listener in listeners
            if listener.transport == transport
        ]
        if found:
            naptr.append(Record(owner, TTL, "NAPTR", f'{10 * (len(naptr) + 1)} 50 "s" "{service}" "" {prefix}.{name}.'))
        srv += found
    return [*naptr, *srv]


def _relative(hostname: str, origin: str) -> str:
    return hostname.removesuffix(f".{origin}")

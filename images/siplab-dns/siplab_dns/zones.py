"""Zone files to authoritative answers (RFC 1034 §4.3.2, wildcards by RFC 4592). No delegation: every zone of a lab is here."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.node
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdataset
import dns.rdatatype
import dns.rrset
import dns.zone

_CHAIN = 8  # aliases followed before we call it a loop
_ADDRESSES = (dns.rdatatype.A, dns.rdatatype.AAAA)

Network = IPv4Network | IPv6Network


class ZoneError(Exception):
    """A zone file that cannot be served: one line with the file's name."""


class Zones:
    """All zones of a lab, and its networks: a host that is on several is told to each by the address it has there (a split view)."""

    def __init__(self, zones: list[dns.zone.Zone], networks: Sequence[Sequence[Network]] = ()) -> None:
        self._zones = {zone.origin: zone for zone in zones}
        self._networks = networks

    @classmethod
    def load(cls, folder: Path) -> Zones:
        """Every `ORIGIN.zone` below `folder`, and its file `networks`, which has the subnets of one network on each line.

        ZoneError where there is no zone, or one cannot be read.
        """
        files = sorted(folder.glob("*.zone"))
        if not files:
            raise ZoneError(f"{folder}: no *.zone file")
        return cls([_load(file) for file in files], _networks(folder / "networks"))

    def origins(self) -> list[str]:
        """The names of the zones, without the trailing dot."""
        return sorted(origin.to_text(omit_final_dot=True) for origin in self._zones)

    def view(self, client: str) -> int | None:
        """The number of the network that a client is on; None where it is on none of the lab's."""
        address = ip_address(client.partition("%")[0])
        return next((number for number, subnets in enumerate(self._networks) if any(address in subnet for subnet in subnets)), None)

    def answer(self, query: dns.message.Message, view: int | None = None) -> dns.message.Message:
        """The right answer to a well-formed query, for who is on that network."""
        response = dns.message.make_response(query, our_payload=1232)
        if query.edns > 0:
            response.set_rcode(dns.rcode.BADVERS)
        elif query.opcode() != dns.opcode.QUERY:
            response.set_rcode(dns.rcode.NOTIMP)
        elif len(query.question) != 1:
            response.set_rcode(dns.rcode.FORMERR)
        else:
            self._resolve(query.question[0], response)
        subnets = self._networks[view] if view is not None else ()
        for section in (response.answer, response.additional):
            section[:] = [_near(rrset, subnets) for rrset in section]
        return response

    def _resolve(self, question: dns.rrset.RRset, response: dns.message.Message) -> None:
        zone = self._zone(question.name)
        if zone is None or question.rdclass != dns.rdataclass.IN:
            response.set_rcode(dns.rcode.REFUSED)
            return
        response.flags |= dns.flags.AA
        name = question.name
        for _ in range(_CHAIN):
            found = _sets(zone, name, question.rdtype)
            if found is None:
                response.set_rcode(dns.rcode.NXDOMAIN)  # RFC 6604: the rcode is of the last name in the chain
            if not found:
                _add(response.authority, zone.origin, _negative(zone))
                return
            for rdataset in found:
                _add(response.answer, name, rdataset)
            if found[0].rdtype != dns.rdatatype.CNAME or question.rdtype in (dns.rdatatype.CNAME, dns.rdatatype.ANY):
                self._additional(found, response)
                return
            name = found[0][0].target
            zone = self._zone(name)
            if zone is None or any(rrset.name == name for rrset in response.answer):
                return

    def _zone(self, name: dns.name.Name) -> dns.zone.Zone | None:
        """The zone with the longest origin that `name` is in."""
        while True:
            if name in self._zones:
                return self._zones[name]
            if name == dns.name.root or not name.is_absolute():
                return None
            name = name.parent()

    def _additional(self, found: list[dns.rdataset.Rdataset], response: dns.message.Message) -> None:
        """What who asked would ask next: SRV behind NAPTR (RFC 3403 §4), addresses behind SRV and NS (RFC 2782)."""
        wanted: list[tuple[dns.name.Name, dns.rdatatype.RdataType]] = []
        for rdataset in found:
            for rdata in rdataset:
                wanted += _targets(rdata)
        for name, rdtype in wanted:
            zone = self._zone(name)
            for rdataset in (_sets(zone, name, rdtype) if zone else None) or []:
                _add(response.additional, name, rdataset)
                if rdtype == dns.rdatatype.SRV:
                    wanted += [target for rdata in rdataset if rdata.rdtype == rdtype for target in _targets(rdata)]


def _load(file: Path) -> dns.zone.Zone:
    try:
        return dns.zone.from_file(str(file), origin=file.stem, relativize=False)
    except (dns.exception.DNSException, OSError, UnicodeDecodeError, ValueError) as error:
        raise ZoneError(f"{file}: {error or type(error).__name__}") from error


def _networks(file: Path) -> list[list[Network]]:
    try:
        lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        return [[ip_network(word) for word in line.split()] for line in lines]
    except (OSError, ValueError) as error:
        raise ZoneError(f"{file}: {error}") from error


def _near(rrset: dns.rrset.RRset, subnets: Sequence[Network]) -> dns.rrset.RRset:
    """Of several addresses those on the asker's own network; where there are none, the first: a host is best known by that one."""
    if rrset.rdtype not in _ADDRESSES or len(rrset) < 2:
        return rrset
    near = [rdata for rdata in rrset if any(ip_address(rdata.address) in subnet for subnet in subnets)]
    return dns.rrset.from_rdata_list(rrset.name, rrset.ttl, near or [rrset[0]])


def _sets(zone: dns.zone.Zone, name: dns.name.Name, rdtype: dns.rdatatype.RdataType) -> list[dns.rdataset.Rdataset] | None:
    """The records of that type at `name`, or its alias; an empty list where the name has no such records, None where it does not exist."""
    node = _node(zone, name)
    if node is None:
        return None
    if rdtype == dns.rdatatype.ANY:
        return list(node.rdatasets)
    found = node.get_rdataset(dns.rdataclass.IN, rdtype) or node.get_rdataset(dns.rdataclass.IN, dns.rdatatype.CNAME)
    return [found] if found else []


def _node(zone: dns.zone.Zone, name: dns.name.Name) -> dns.node.Node | None:
    """The node at `name`, an empty one between names, or the wildcard at the closest encloser (RFC 4592 §3.3.1)."""
    node = zone.nodes.get(name)
    if node is not None:
        return node
    if any(other.is_subdomain(name) for other in zone.nodes):
        return dns.node.Node()
    encloser = name.parent()
    while encloser != zone.origin and not any(other.is_subdomain(encloser) for other in zone.nodes):
        encloser = encloser.parent()
    return zone.nodes.get(dns.name.Name((b"*", *encloser.labels)))


def _negative(zone: dns.zone.Zone) -> dns.rdataset.Rdataset:
    """The SOA of a negative answer: it is cached for the lesser of its TTL and `minimum` (RFC 2308 §3)."""
    soa = zone.find_rdataset(zone.origin, dns.rdatatype.SOA)
    copy = dns.rdataset.from_rdata(min(soa.ttl, soa[0].minimum), soa[0])
    return copy


def _targets(rdata: dns.rdata.Rdata) -> list[tuple[dns.name.Name, dns.rdatatype.RdataType]]:
    if rdata.rdtype == dns.rdatatype.NAPTR:
        return [(rdata.replacement, dns.rdatatype.SRV)] if rdata.flags.lower() == b"s" else _addresses(rdata.replacement)
    if rdata.rdtype in (dns.rdatatype.SRV, dns.rdatatype.NS):
        return _addresses(rdata.target)
    return []


def _addresses(name: dns.name.Name) -> list[tuple[dns.name.Name, dns.rdatatype.RdataType]]:
    return [(name, rdtype) for rdtype in _ADDRESSES]


def _add(section: list[dns.rrset.RRset], name: dns.name.Name, rdataset: dns.rdataset.Rdataset) -> None:
    rrset = dns.rrset.from_rdata_list(name, rdataset.ttl, list(rdataset))
    if rrset not in section:
        section.append(rrset)

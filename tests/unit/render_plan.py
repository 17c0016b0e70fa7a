"""A trapezoid by hand: the smallest plan that has everything that rendering looks at."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path

from lab.plan.model import Account, CertificateRequest, Domain, Element, Interface, Listener, Network, Plan, Record, Zone
from lab.render.vendor import Vendor
from lab.spec.options import options_of

IMAGES = Path(__file__).parents[2] / "images"
FAULTS = ("wrong-san", "unknown-ca", "expired", "not-yet-valid")
NETWORK = Network("internet", IPv4Network("198.18.96.0/24"), IPv6Network("2001:db8:60::/64"))

KAMAILIO = Vendor(
    name="kamailio",
    folder=IMAGES / "kamailio",
    files={
        name: f"/etc/kamailio/{name.removesuffix('.j2')}" for name in ("hosts.j2", "kamailio.cfg.j2", "misbehaviour.cfg.j2", "tls.cfg.j2")
    },
    environment={"LD_PRELOAD": "/usr/lib/siplab-keylog.so", "SSLKEYLOGFILE": "/var/lib/siplab/keys/{{ element.name }}.log"},
    keylog=True,
)
DNS = Vendor(name="siplab-dns", folder=IMAGES / "siplab-dns", agent=True, memory_mb=64, pids=16)
UA = Vendor(name="ua", folder=IMAGES / "siplab-dns", agent=True)
VENDORS = {vendor.name: vendor for vendor in (KAMAILIO, DNS, UA)}


def place(number: int) -> tuple[Interface, ...]:
    return (Interface("internet", IPv4Address(f"198.18.96.{number}"), IPv6Address(f"2001:db8:60::{number}")),)


def proxy(name: str, domain: str, number: int) -> Element:
    host = f"{name}.{domain}"
    listeners = [Listener("udp", 5060, host), Listener("tcp", 5060, host), Listener("tls", 5061, host, name)]
    listeners += [Listener("tls", 5071 + n, f"{fault}.{domain}", fault) for n, fault in enumerate(FAULTS)]
    requests = [CertificateRequest(name, host, (host, domain), (f"sip:{domain}",))]
    requests += [CertificateRequest(f, f"{f}.{domain}", (f"{f}.{domain}", domain), (f"sip:{domain}",), fault=f) for f in FAULTS]
    return Element(
        name,
        "proxy",
        "kamailio",
        "6.0",
        place(number),
        host,
        domain=domain,
        listeners=tuple(listeners),
        certificates=tuple(requests),
        options=options_of("proxy", {}),
    )


def agent(account: Account, number: int, tone: int) -> Element:
    name = account.username
    host = f"{name}.{account.domain}"
    request = CertificateRequest(name, host, (host,), (account.aor,), usage="user")
    return Element(
        name, "user-agent", "ua", "1", place(number), host, domain=account.domain, account=account, certificates=(request,), tone_hz=tone
    )


def zone(domain: str, name: str, number: int) -> Zone:
    records = [
        Record("@", 5, "NAPTR", '10 50 "s" "SIPS+D2T" "" _sips._tcp'),
        Record("@", 5, "NAPTR", '20 50 "s" "SIP+D2T" "" _sip._tcp'),
        Record("@", 5, "NAPTR", '30 50 "s" "SIP+D2U" "" _sip._udp'),
        Record("_sips._tcp", 5, "SRV", f"10 0 5061 {name}"),
        Record("_sip._tcp", 5, "SRV", f"10 0 5060 {name}"),
        Record("_sip._udp", 5, "SRV", f"10 0 5060 {name}"),
    ]
    for host in (name, *FAULTS):
        records += [Record(host, 5, "A", f"198.18.96.{number}"), Record(host, 5, "AAAA", f"2001:db8:60::{number}")]
    return Zone(domain, tuple(records))


def trapezoid() -> Plan:
    alice = Account("alice", "atlanta.example", "wonderland")
    bob = Account("bob", "biloxi.example", "builder")
    return Plan(
        topology="trapezoid",
        title="Two domains",
        seed=1,
        networks=(NETWORK,),
        domains=(Domain("atlanta.example", "pa", (alice,)), Domain("biloxi.example", "pb", (bob,))),
        elements=(
            Element("dns", "dns", "siplab-dns", "1", place(10), "ns.siplab.example"),
            proxy("pa", "atlanta.example", 11),
            proxy("pb", "biloxi.example", 12),
            agent(alice, 13, 440),
            agent(bob, 14, 620),
        ),
        zones=(
            Zone("siplab.example", (Record("ns", 5, "A", "198.18.96.10"), Record("ns", 5, "AAAA", "2001:db8:60::10"))),
            zone("atlanta.example", "pa", 11),
            zone("biloxi.example", "pb", 12),
        ),
    )

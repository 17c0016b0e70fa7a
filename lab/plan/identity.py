"""Who an element is to others: its names, certificates, listeners, password and tone."""

from __future__ import annotations

import hashlib
from collections.abc import Collection

from lab.errors import PlanError
from lab.plan.model import Account, CertificateRequest, Listener
from lab.spec.references import LAB_DOMAIN
from lab.spec.role import SERVERS
from lab.spec.topology import ElementSpec, Fault, Topology

SIP_PORT, SIPS_PORT = 5060, 5061
"""RFC 3261 §18.1.1 and §26.2.1."""
FIRST_FAULT_PORT = 5071
"""The listeners with faulty certificates, in the order of `presents`."""

TONES_HZ = (440, 880, 620, 1040, 540, 1140, 1280, 1400, 1560, 1720, 1820, 1920, 2020, 2140, 2240, 2360)
"""Tones of user agents in order: within the telephone band, at least 80 Hz apart, away from the DTMF frequencies (ITU-T Q.23)."""


def home_domain(topology: Topology, name: str) -> str | None:
    """The SIP domain in which an element has its host name: of its address of record, or the first that it serves."""
    element = topology.elements[name]
    return element.domain or next(iter(topology.served_by(name)), None)


def hostname(topology: Topology, name: str) -> str:
    """`<element>.<domain>`; the first name server is `ns`, as in every zone file ever shown."""
    servers = [other for other, element in topology.elements.items() if element.role == "dns"]
    label = "ns" if servers[:1] == [name] else name
    return f"{label}.{home_domain(topology, name) or LAB_DOMAIN}"


def account(element: ElementSpec, seed: int) -> Account | None:
    """The element's subscription; its password depends on seed and address of record alone."""
    if not element.aor:
        return None
    digest = hashlib.sha256(f"siplab/{seed}/password/{element.aor}".encode()).hexdigest()
    return Account(element.username, element.domain, digest[:20])


def listeners(topology: Topology, name: str, declared: Collection[str]) -> tuple[Listener, ...]:
    """A SIP server's sockets: UDP and TCP, TLS with its good certificate, and TLS with each faulty one under a host name of its own.

    Of the transports only those that its vendor declares: nobody must be sent by the DNS to where nothing listens.
    """
    if topology.elements[name].role not in SERVERS:
        return ()
    domain = home_domain(topology, name)
    host = hostname(topology, name)
    faulty = [
        Listener("tls", FIRST_FAULT_PORT + index, f"{fault}.{domain}", fault)
        for index, fault in enumerate(topology.elements[name].presents)
    ]
    every = (Listener("udp", SIP_PORT, host), Listener("tcp", SIP_PORT, host), Listener("tls", SIPS_PORT, host, name), *faulty)
    return tuple(listener for listener in every if listener.transport in declared)


def certificates(topology: Topology, name: str) -> tuple[CertificateRequest, ...]:
    """What is to be issued for an element (RFC 5922 §7.1): a server is its host and domains, a relay its host, a user agent its AOR."""
    element = topology.elements[name]
    served = topology.served_by(name)
    answered_for = (*served, *topology.carried_by(name))
    if element.role in SERVERS:
        host = hostname(topology, name)
        # A certificate with SIP URIs stands for these alone (RFC 5922 §7.1), and clients dial the host too: domains first, then the host.
        good = CertificateRequest(name, host, (host, *answered_for), tuple(f"sip:{identity}" for identity in (*answered_for, host)))
        return (good, *(_faulty(fault, served[0]) for fault in element.presents))
    if element.role == "turn":
        return (CertificateRequest(name, hostname(topology, name), (hostname(topology, name),)),)
    if element.aor:
        return (CertificateRequest(name, element.aor, (), (f"sip:{element.aor}",), usage="user"),)
    return ()


def tones(topology: Topology) -> dict[str, int]:
    """A tone for each element that talks, none twice: those with an account, and the telephone network behind a gateway."""
    names = [name for name, element in topology.elements.items() if element.aor or element.role == "trunk"]
    if len(names) > len(TONES_HZ):
        raise PlanError(f"{len(names)} elements play tones and there are {len(TONES_HZ)}", remedy="use fewer accounts")
    return dict(zip(names, TONES_HZ, strict=False))


def _faulty(fault: Fault, domain: str) -> CertificateRequest:
    host = f"{fault}.{domain}"
    return CertificateRequest(fault, host, (host,), (f"sip:{host}",), fault=fault)

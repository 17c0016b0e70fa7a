"""The topology language: which elements a lab has, where they are connected and who speaks for which domain.

The models hold what one file says. Whether its names exist (vendors, networks, elements) is `lab.spec.references`' question.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, PrivateAttr, model_validator

from lab.errors import Where
from lab.spec.capability import CapabilityName
from lab.spec.model import SchemaVersion, SpecModel
from lab.spec.names import AddressOfRecord, DomainName, Line, Name, VendorSelection, distinct, problem
from lab.spec.role import Role

Fault = Literal["wrong-san", "unknown-ca", "expired", "not-yet-valid"]
"""What can be wrong with a certificate that a proxy presents on a listener of its own."""
Transport = Literal["udp", "tcp", "tls"]


def _percentage(text: str) -> str:
    if not re.fullmatch(r"[0-9]{1,2}(?:\.[0-9]{1,2})?%", text) or float(text[:-1]) == 0:
        raise problem(f'"{text}" is no loss', "write a percentage between 0.01% and 99.99%, such as 10%")
    return text


def _bit_rate(text: str) -> str:
    if not re.fullmatch(r"[1-9][0-9]{0,5}(?:kbit|mbit)", text):
        raise problem(f'"{text}" is no rate', "write kbit or mbit per second, such as 128kbit or 1mbit")
    return text


def _milliseconds(text: str) -> str:
    if not re.fullmatch(r"[1-9][0-9]{0,4}ms", text):
        raise problem(f'"{text}" is no delay', "write milliseconds, such as 20ms")
    return text


class NetworkSpec(SpecModel):
    """A sealed network. Its addresses are leased when the lab starts: dual stack unless a family is switched off.

    On a `private` network they come from space that may be used behind a NAT (RFC 1918, RFC 4193): nobody outside has a route to it.
    `loss` is that of each packet in each direction, `rate` what each element receives at most, `delay` in each direction.
    """

    private: bool = False
    ipv4: bool = True
    ipv6: bool = True
    loss: Annotated[str, AfterValidator(_percentage)] | None = None
    rate: Annotated[str, AfterValidator(_bit_rate)] | None = None
    delay: Annotated[str, AfterValidator(_milliseconds)] | None = None

    @model_validator(mode="after")
    def _some_family(self) -> NetworkSpec:
        if not (self.ipv4 or self.ipv6):
            raise problem("has neither IPv4 nor IPv6", "leave one of them on")
        return self


class RouteSpec(SpecModel):
    """A request to a user of a domain that goes to another SIP server instead of a registered contact (RFC 3261 §16.5).

    `user` is a glob on the user part (`+*`). With `on`, only after the user's own contacts ended with one of these final responses, 408
    standing for no answer in time (RFC 4458). With `event`, only SUBSCRIBE requests for that package (RFC 6665 §7.2).
    """

    user: Annotated[str, Field(min_length=1, pattern=r"^[A-Za-z0-9+*?._-]+$")] = "*"
    on: Annotated[tuple[Annotated[int, Field(ge=300, le=699)], ...], AfterValidator(distinct)] = ()
    event: Annotated[str, Field(pattern=r"^[a-z][a-z.-]*$")] = ""
    to: Name
    transport: Transport = "udp"


class DomainSpec(SpecModel):
    """A SIP domain. `proxy` is the element that serves it: registrar, and target of its NAPTR and SRV records (RFC 3263).

    With `transit` these records point to that server, which stands before the proxy and hands on to it what comes for the domain.
    `backup` serve it too, each with a later SRV priority than the one before (RFC 2782). They share no bindings. `edges` are the proxies
    through which its user agents reach it, in the order in which they are to use them (RFC 5626 §3.1, the outbound proxy set).
    """

    proxy: Name
    transit: Name | None = None
    backup: Annotated[tuple[Name, ...], AfterValidator(distinct)] = ()
    edges: Annotated[tuple[Name, ...], AfterValidator(distinct)] = ()
    routes: tuple[RouteSpec, ...] = ()


class ElementSpec(SpecModel):
    """One node.

    `networks` left out means all of them, or the inside of the NAT that it is `behind`; `vendor` left out means that a binding must choose
    one, and only one that declares all that it `needs` can be chosen. It starts when those in `start_after` are ready. With `count` it
    stands for so many elements (`lab.spec.template`). `presents` gives a proxy one further TLS listener per fault, each with a certificate
    that has exactly that fault. `options` are typed by the role (`lab.spec.options`).
    """

    role: Role
    networks: Annotated[tuple[Name, ...] | None, Field(min_length=1), AfterValidator(lambda value: value and distinct(value))] = None
    vendor: VendorSelection | None = None
    needs: Annotated[tuple[CapabilityName, ...], AfterValidator(distinct)] = ()
    behind: Name | None = None
    start_after: Annotated[tuple[Name, ...], AfterValidator(distinct)] = ()
    count: Annotated[int, Field(ge=2, le=99)] | None = None
    aor: AddressOfRecord | None = None
    presents: Annotated[tuple[Fault, ...], AfterValidator(distinct)] = ()
    options: Mapping[str, Any] = Field(default_factory=dict)

    @property
    def username(self) -> str:
        """User part of the address of record; empty where there is none."""
        return self.aor.partition("@")[0] if self.aor else ""

    @property
    def domain(self) -> str:
        """Domain of the address of record; empty where there is none."""
        return self.aor.partition("@")[2] if self.aor else ""


class Topology(SpecModel):
    """One file of `topologies/`."""

    schema_version: SchemaVersion = Field(alias="schema")
    name: Name
    title: Line
    networks: Annotated[Mapping[Name, NetworkSpec], Field(min_length=1)]
    domains: Mapping[DomainName, DomainSpec] = Field(default_factory=dict)
    elements: Annotated[Mapping[Name, ElementSpec], Field(min_length=1)]
    matrix: tuple[Annotated[tuple[Name, ...], Field(min_length=1)], ...] = ()
    """What a pairing varies. The first row names the pairing and its JUnit file."""
    _needed_at: Mapping[str, Where] = PrivateAttr(default_factory=dict)

    def located(self, needed_at: Mapping[str, Where]) -> Topology:
        """The same, with the place in its file where each element says what it needs."""
        copy = self.model_copy()
        copy._needed_at = needed_at
        return copy

    def needed_at(self, element: str) -> Where | None:
        """Where the file says what an element needs; None where nobody knows."""
        return self._needed_at.get(element)

    def assuming(self, *elements: str) -> Topology:
        """The same, which asks nothing of whoever plays these elements: for who wants to know what a vendor can do."""
        changed = {name: spec.model_copy(update={"needs": ()}) if name in elements else spec for name, spec in self.elements.items()}
        return self.model_copy(update={"elements": changed})

    @property
    def varied(self) -> tuple[str, ...]:
        """All elements of the matrix, row by row."""
        return tuple(name for row in self.matrix for name in row)

    def served_by(self, proxy: str) -> tuple[str, ...]:
        """The domains of a proxy, in the file's order: first those that are its own, then those that it is a backup of."""
        own = tuple(name for name, domain in self.domains.items() if domain.proxy == proxy)
        return (*own, *(name for name, domain in self.domains.items() if proxy in domain.backup))

    def carried_by(self, server: str) -> tuple[str, ...]:
        """The domains that a server stands before, in the file's order."""
        return tuple(name for name, domain in self.domains.items() if domain.transit == server)

    def networks_of(self, element: str) -> tuple[str, ...]:
        """The networks that an element is on."""
        spec = self.elements[element]
        if spec.networks or spec.behind is None or spec.behind not in self.elements:
            return spec.networks or tuple(self.networks)
        return self.inside_of(spec.behind)

    def inside_of(self, nat: str) -> tuple[str, ...]:
        """The networks behind a NAT: all that it is on but the first, which is its outside."""
        return (self.elements[nat].networks or ())[1:]


def topology_json_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of a topology file, for editors."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Topology.model_json_schema(by_alias=True),
        "title": "siplab topology",
    }

"""Behaviour discovery: what each NAT of a lab does is measured before anybody relies on it (RFC 5780, in the terms of RFC 4787).

A STUN server with two addresses joins the network outside of a NAT, a client the one inside. Both are containers of the lab's helper image
that go when the answer is there; nothing of a NAT's own, such as its configuration, is believed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from lab.errors import LabError, RuntimeFault
from lab.plan.model import Element, Plan
from lab.plan.nat import behaviour
from lab.runtime.base import Attachment, ContainerSpec, Runtime
from lab.runtime.labels import Identity
from lab.runtime.lease import Lease
from lab.runtime.parallel import run_all

WITHIN = 40.0
"""Seconds for all NATs at once."""
MEASURED_LIFETIME = 5
"""Up to this many seconds the life of a binding is waited for; a longer one is taken on trust, since finding out takes as long."""
REFUSED_PORT = 9
"""A TCP port that nobody asks to be allowed (RFC 863)."""
_SERVER = ("python3", "/usr/lib/siplab/stun_server.py")
_CLIENT = ("python3", "/usr/lib/siplab/stun_client.py")
_FROM_THE_END = 16
"""Host numbers are counted down from here, away from elements and from their spares."""


@dataclass(frozen=True)
class Ground:
    """Where discovery takes place."""

    runtime: Runtime
    identity: Identity
    image: str
    plan: Plan
    leases: Mapping[str, Lease]


@dataclass(frozen=True)
class Station:
    """A container for the length of the discovery, at one address and with another one of its network in reserve."""

    handle: str
    address: str
    other: str


class Discovery:
    """Of one lab: `prepare` needs its networks, `measure` its NATs, `close` always follows."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._nats = ground.plan.with_role("nat")
        self._stations: dict[str, Station] = {}
        self._ports = sorted({REFUSED_PORT, *(port for nat in self._nats for port in behaviour(nat.options).tcp or ())})

    def prepare(self) -> None:
        """A server on every network outside of a NAT, a client inside of every NAT."""
        outsides = dict.fromkeys(nat.interfaces[0].network for nat in self._nats)
        places = [*((network, network) for network in outsides), *((nat.name, nat.interfaces[1].network) for nat in self._nats)]
        tasks: dict[str, Callable[[], object]] = {
            name: partial(self._place, name, network, 2 * index) for index, (name, network) in enumerate(places)
        }
        run_all("discovery", tasks, timeout=WITHIN)
        run_all("discovery", {network: partial(self._serve, network) for network in outsides}, timeout=WITHIN)

    def measure(self) -> dict[str, dict[str, Any]]:
        """What each NAT does, by its name: kept with the evidence. LabError, one line, where it is not what the topology says."""
        found: dict[str, dict[str, Any]] = {}

        def ask(nat: Element) -> None:
            found[nat.name] = self._ask(nat)

        run_all("discovery", {nat.name: partial(ask, nat) for nat in self._nats}, timeout=WITHIN)
        if wrong := [line for nat in self._nats for line in differences(nat, found[nat.name], self._ports)]:
            raise LabError(
                f"not the NATs that the topology asks for: {'; '.join(wrong)}", remedy="correct the vendor's rules, or the options"
            )
        return {nat.name: {"type": nat.options["type"], **found[nat.name]} for nat in self._nats}

    def close(self) -> None:
        """Take the containers away: elements see no stranger."""
        run_all(
            "discovery", {name: partial(self._ground.runtime.remove, each.handle) for name, each in self._stations.items()}, timeout=WITHIN
        )

    def _place(self, name: str, network: str, number: int) -> None:
        self._stations[name] = _station(self._ground, name, network, number)

    def _serve(self, network: str) -> None:
        """Ready when this returns. Where nothing is translated the answer needs a way back in."""
        station, networks = self._stations[network], {net.name: net for net in self._ground.plan.networks}
        for nat in (nat for nat in self._nats if nat.interfaces[0].network == network):
            for inside in (networks[place.network] for place in nat.interfaces[1:]):
                if not inside.private:
                    self._do(station, ("ip", "route", "add", str(inside.ipv4), "via", str(nat.interfaces[0].ipv4)))
        argv = (*_SERVER, station.address, station.other, *map(str, self._ports))
        stream = self._ground.runtime.stream(station.handle, argv)
        heard = b""
        for chunk in stream.chunks():
            heard += chunk
            if b"ready" in heard:
                return
        outcome = stream.outcome()
        why = outcome.stderr.decode(errors="replace").strip()[-200:] if outcome else "no output"
        raise RuntimeFault(f"the STUN server of the discovery ended: {why}")

    def _ask(self, nat: Element) -> dict[str, Any]:
        server = self._stations[nat.interfaces[0].network]
        expected = behaviour(nat.options)
        lifetime = expected.binding_timeout if expected.udp and expected.binding_timeout <= MEASURED_LIFETIME else 0
        where = (str(nat.interfaces[1].ipv4), server.address, server.other.partition("/")[0], str(lifetime), *map(str, self._ports))
        found: dict[str, Any] = json.loads(self._do(self._stations[nat.name], (*_CLIENT, *where)))
        return found

    def _do(self, station: Station, argv: tuple[str, ...]) -> bytes:
        result = self._ground.runtime.exec(station.handle, argv, timeout=WITHIN)
        if result.exit_code:
            why = (result.stderr or result.stdout).decode(errors="replace").strip()[-200:]
            raise RuntimeFault(f"discovery: {' '.join(argv[:2])}: {why}")
        return result.stdout


def _station(ground: Ground, name: str, network: str, number: int) -> Station:
    """NET_ADMIN is for its routes, and for the server's second address."""
    lease = ground.leases[network]
    assert lease.ipv4 is not None
    address, other = (str(lease.ipv4[-_FROM_THE_END - number - more]) for more in (0, 1))
    ipv6 = str(lease.ipv6[-_FROM_THE_END - number]) if lease.ipv6 else ""
    spec = ContainerSpec(
        name=ground.identity.name(f"discovery-{name}"),
        image=ground.image,
        networks=(Attachment(lease.spec.name, address, ipv6),),
        command=("sleep", "infinity"),
        capabilities=("NET_ADMIN",),
        labels=ground.identity.labels(),
        memory_mb=64,
        pids=32,
    )
    handle = ground.runtime.create(spec)
    ground.runtime.start(handle)
    return Station(handle, address, f"{other}/{lease.ipv4.prefixlen}")


def differences(nat: Element, found: Mapping[str, Any], ports: Sequence[int]) -> list[str]:
    """What was found and should not have been, in words; empty where a NAT is what its options say."""
    expected = behaviour(nat.options)
    pairs = [("udp", found["udp"], expected.udp), ("tcp", found["tcp"], [port for port in ports if expected.connects(port)])]
    if expected.udp:
        pairs += [(name, found[name], getattr(expected, name)) for name in ("mapping", "filtering", "alg")]
        pairs += [("lifetime", found["lifetime"], True)] if found["lifetime"] is not None else []
        pairs += [("hairpin", found["hairpin"], expected.hairpin)] if expected.mapping != "none" else []
    who = f"{nat.name} ({nat.vendor}@{nat.flavour}, {nat.options['type']})"
    return [f"{who} has {name} {_said(is_)}, not {_said(should)}" for name, is_, should in pairs if is_ != should]


def _said(value: object) -> str:
    return "on" if value is True else "off" if value is False else str(value)


def table(behaviours: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """The behaviours as rows for people, with a heading: as `pairing.json` holds them under `nats`."""
    columns = ("type", "udp", "mapping", "filtering", "hairpin", "alg", "lifetime", "tcp")
    rows = [(name, *("–" if found[column] is None else _said(found[column]) for column in columns)) for name, found in behaviours.items()]
    return [("nat", *columns), *rows]

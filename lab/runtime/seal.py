"""Sealing: no element reaches the host or anything beyond its networks, and the proof of it.

`internal` networks alone do not seal: the host keeps an address on the bridge. IPv4 is left out when the network is made
(`Runtime.create_network`); what remains on old engines (IPv6, link-local) is flushed here by the lab's helper: the one container that
shares the host's network stack, with NET_ADMIN and NET_RAW, started before any element. The same helper captures.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lab.errors import RuntimeFault
from lab.runtime.base import ContainerSpec, Runtime
from lab.runtime.forwarding import FORWARDING
from lab.runtime.labels import Identity
from lab.runtime.lease import Lease

_REMEDY = "the lab must not run like this: report the engine's version and `ip addr` of its host"
_PROBE_SECONDS = 0.7
_LISTINGS = 10

_SEAL = """
for bridge in "$@"; do
  ip link set dev "$bridge" addrgenmode none
  ip -6 addr flush dev "$bridge"
  ip -4 addr flush dev "$bridge"
done
"""

# Prints which of the addresses given answer a connection to the discard port, with SYN-ACK or with RST (errno 0 and 111).
_PROBE = """
import json, selectors, socket, sys, time
wait, answered, open_ = float(sys.argv[1]), [], {}
poll = selectors.DefaultSelector()
for host in sys.argv[2:]:
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    sock.setblocking(False)
    code = sock.connect_ex((host, 9))
    if code in (0, 111):
        answered.append(host)
    elif code == 115:
        poll.register(sock, selectors.EVENT_WRITE, host)
end = time.monotonic() + wait
while poll.get_map() and (left := end - time.monotonic()) > 0:
    for key, _ in poll.select(left):
        poll.unregister(key.fileobj)
        if key.fileobj.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) in (0, 111):
            answered.append(key.data)
print(json.dumps(answered))
"""


def helper_spec(
    identity: Identity, image: str, volumes: dict[str, tuple[str, bool]] | None = None, *, forwards: bool = False
) -> ContainerSpec:
    """The lab's helper: idle until commands are run in it (`Runtime.exec`, `Runtime.stream`). `forwards`: it may change the host's firewall
    (`lab.runtime.forwarding`)."""
    more = {FORWARDING: identity.bridges} if forwards else {}
    return ContainerSpec(
        name=identity.name("helper"),
        image=image,
        host_network=True,
        command=("sleep", "infinity"),
        capabilities=("NET_ADMIN", "NET_RAW"),
        volumes=volumes or {},
        labels=identity.labels(element="helper", **more),
        memory_mb=1024,
        pids=64,
    )


def seal(runtime: Runtime, helper: str, leases: Sequence[Lease]) -> None:
    """Take every address off the lab's bridges, for good: a link-local one would come back with the first element. Idempotent."""
    result = runtime.exec(helper, ("sh", "-ec", _SEAL, "seal", *(lease.spec.bridge for lease in leases)))
    if result.exit_code:
        raise RuntimeFault(f"sealing failed: {_tail(result.stderr or result.stdout)}", remedy="is the helper image current?")


@dataclass(frozen=True)
class Prober:
    """A container with python3 from which the seal of the networks that it is on is tried (`leases`; none given: of all).

    `control` are addresses of other elements there, of every family, which must answer: a probe that reaches nothing at all proves nothing.
    """

    handle: str
    control: tuple[str, ...]
    leases: tuple[Lease, ...] = ()


@dataclass(frozen=True)
class Proof:
    """What `verify_sealed` looked at: kept with the evidence. `probed` are the addresses that an element failed to reach."""

    bridges: tuple[str, ...]
    probed: tuple[str, ...]


def verify_sealed(runtime: Runtime, helper: str, leases: Sequence[Lease], *probers: Prober) -> Proof:
    """Prove the seal, or raise RuntimeFault with what is open.

    On the host: every bridge exists, has no address and no route leads into it. With probers also from inside: the networks' gateway
    addresses, an element's only way out, do not answer. A TCP reset is an answer; what stays silent for 0.7 s is not there.

    Nothing beyond the lab's own subnets is probed: a proof that sends packets to other people's addresses would be worse than none.
    """
    if not leases:
        raise RuntimeFault("there is no network whose seal could be verified", remedy="lease the networks first")
    bridges = tuple(lease.spec.bridge for lease in leases)
    interfaces = {link["ifname"]: link for link in _ip_json(runtime, helper, "addr", "show")}
    routes = [route for family in ("-4", "-6") for route in _ip_json(runtime, helper, family, "route", "show", "table", "all")]
    for bridge in bridges:
        _verify_bridge(bridge, interfaces, routes)
    probed: list[str] = []
    for prober in probers:
        targets = [address for lease in prober.leases or leases for address in lease.gateways]
        _verify_from_inside(runtime, prober, targets)
        probed += targets
    if probers and (left := [lease.name for lease in leases if not set(lease.gateways) <= set(probed)]):
        raise RuntimeFault(f"the seal is not proven: nobody probes {', '.join(left)}", remedy="put an element on that network")
    return Proof(bridges, tuple(probed))


def _verify_from_inside(runtime: Runtime, prober: Prober, targets: Sequence[str]) -> None:
    answered = probe(runtime, prober.handle, (*prober.control, *targets))
    if mute := [address for address in prober.control if address not in answered] or (not prober.control and ["(no control address)"]):
        raise RuntimeFault(f"the seal is not proven: the probe does not even reach {', '.join(mute)}", remedy="is that element up?")
    if reached := [address for address in targets if address in answered]:
        raise RuntimeFault(f"not sealed: an element reaches {', '.join(reached)}", remedy=_REMEDY)


def _verify_bridge(bridge: str, interfaces: dict[str, Any], routes: list[dict[str, Any]]) -> None:
    if bridge not in interfaces:
        raise RuntimeFault(f"bridge {bridge} is not on the engine's host", remedy="is the helper in the host's network namespace?")
    if addresses := [entry["local"] for entry in interfaces[bridge].get("addr_info", [])]:
        raise RuntimeFault(f"not sealed: the host has {', '.join(addresses)} on {bridge}", remedy=_REMEDY)
    if leading := [str(route["dst"]) for route in routes if route.get("dev") == bridge and route.get("type") != "multicast"]:
        raise RuntimeFault(f"not sealed: the host routes {', '.join(leading)} into {bridge}", remedy=_REMEDY)


def probe(runtime: Runtime, handle: str, targets: Sequence[str]) -> tuple[str, ...]:
    """Those of `targets` that answer a TCP connection attempt (to the discard port) from a container with python3."""
    result = runtime.exec(handle, ("python3", "-c", _PROBE, str(_PROBE_SECONDS), *targets), timeout=10 + _PROBE_SECONDS)
    if result.exit_code:
        raise RuntimeFault(
            f"the seal cannot be probed: {_tail(result.stderr or result.stdout)}", remedy="probe from an element that has python3"
        )
    return tuple(json.loads(result.stdout))


def _ip(runtime: Runtime, helper: str, *arguments: str) -> bytes:
    """A listing that changed while the kernel gave it out may lack lines: it is asked for again."""
    for _ in range(_LISTINGS):
        result = runtime.exec(helper, ("ip", *arguments))
        if result.exit_code:
            raise RuntimeFault(
                f"helper: ip {' '.join(arguments)}: {_tail(result.stderr or result.stdout)}", remedy="is the helper image current?"
            )
        if b"interrupted" not in result.stderr:
            return result.stdout
    raise RuntimeFault(f"helper: ip {' '.join(arguments)}: changes all the time", remedy="try again when fewer labs start at once")


def _ip_json(runtime: Runtime, helper: str, *arguments: str) -> list[dict[str, Any]]:
    """iproute2 prints nothing, or an empty object, where there is nothing to list."""
    found = json.loads(_ip(runtime, helper, "-j", *arguments) or b"[]")
    return [entry for entry in found if entry]


def _tail(output: bytes) -> str:
    return " ".join(output.decode(errors="replace").split())[-200:]

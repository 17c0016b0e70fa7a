"""Networks worse than a bridge: packets lost, late, or held to a rate, put on by the lab's helper and proven by a measurement.

Loss is a rule of the host's firewall for bridges (`numgen`), so it goes with the lab like every rule (`lab.runtime.forwarding`). Rate (TBF)
and delay (netem) are queues of the bridge's ports towards the elements; they go with the ports. What the capture holds is what was sent: it
sees a packet before it is lost.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

from lab.errors import RuntimeFault
from lab.runtime.base import Runtime
from lab.runtime.labels import Identity

_SLOWEST_BURST, _BURST_SECONDS = 4_000, 0.01
_QUEUE = "200ms"
_SIGMAS, _SLACK = 5.0, 0.01
_FASTER = 1.3
_PROBE = ("python3", "/usr/lib/siplab/echo.py")
_DISCOVERY = "{ nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit, nd-router-advert }"

# Arguments: bridge, rate in bit/s or 0, burst in bytes, delay in ms or 0.
_QUEUES = f"""
for port in /sys/class/net/"$1"/brif/*; do
  port=${{port##*/}}
  tc qdisc delete dev "$port" root 2>/dev/null || true
  at=root
  if [ "$2" != 0 ]; then
    tc qdisc add dev "$port" root handle 1: tbf rate "$2"bit burst "$3" latency {_QUEUE}
    at="parent 1:1"
  fi
  [ "$4" = 0 ] || tc qdisc add dev "$port" $at netem delay "$4"ms limit 10000
done
"""


@dataclass(frozen=True)
class Impairment:
    """What is wrong with one network: `loss` is a probability per packet and direction, `rate` the bits per second that each element
    receives at most, `delay` seconds in each direction."""

    network: str
    bridge: str
    loss: float = 0.0
    rate: int = 0
    delay: float = 0.0

    def __bool__(self) -> bool:
        return bool(self.loss or self.rate or self.delay)


@dataclass(frozen=True)
class Measured:
    """Echo requests sent and answered, the shortest time for both ways in seconds, and the bits per second at which a burst came back."""

    sent: int
    answered: int
    round_trip: float
    rate: float


def impair(runtime: Runtime, helper: str, identity: Identity, networks: Sequence[Impairment]) -> None:
    """Put it on, once all elements are there. RuntimeFault, one line, where this kernel cannot."""
    lossy = [each for each in networks if each.loss]
    if lossy:
        ports = {each: runtime.exec(helper, ("ls", f"/sys/class/net/{each.bridge}/brif")).stdout.decode().split() for each in lossy}
        result = runtime.exec(helper, ("nft", "-f", "-"), stdin=_rules(identity.bridges.rstrip("+"), ports).encode())
        _judge(result.exit_code, result.stderr, lossy[0].network, "loss", "nftables with numgen in the bridge family")
    for each in networks:
        if each.rate or each.delay:
            burst = max(_SLOWEST_BURST, int(each.rate / 8 * _BURST_SECONDS))
            arguments = (each.bridge, str(each.rate), str(burst), f"{each.delay * 1000:g}")
            result = runtime.exec(helper, ("sh", "-ec", _QUEUES, "queues", *arguments))
            what, needs = ("delay", "netem") if b"netem" in result.stderr or not each.rate else ("rate", "TBF")
            needs = "netem" if each.delay and b"kind is unknown" in result.stderr else needs
            _judge(result.exit_code, result.stderr, each.network, "delay" if needs == "netem" else what, needs)


def _judge(code: int, said: bytes, network: str, what: str, needs: str) -> None:
    if code:
        line = " ".join(said.decode(errors="replace").split())[:160]
        remedy = "run on a kernel that has it, or leave it out of the topology"
        raise RuntimeFault(f"network {network}: {what}: not on this kernel, it needs {needs} ({line})", remedy=remedy)


def _rules(table: str, lossy: Mapping[Impairment, Sequence[str]]) -> str:
    """By the ports of the bridges, since not every kernel can tell a bridge's name. Neighbour discovery is spared: a lab whose elements do
    not find each other tells nothing about SIP."""
    lines = [
        f"  iifname {{ {', '.join(ports)} }} ether type {{ ip, ip6 }} numgen random mod 100000 < {round(each.loss * 100_000)} counter drop;"
        for each, ports in lossy.items()
    ]
    chain = ["type filter hook forward priority 0;", f"  icmpv6 type {_DISCOVERY} accept;", *lines]
    body = "\n".join(chain)
    return f"table bridge {table}\ndelete table bridge {table}\ntable bridge {table} {{\n chain lost {{\n  {body}\n }}\n}}\n"


def measure(runtime: Runtime, side: str, target: str, wanted: Impairment) -> Measured:
    """Ask an element of the network for echoes, from a container beside another one."""
    result = runtime.exec(side, (*_PROBE, target, str(wanted.rate)), timeout=60)
    if result.exit_code:
        said = " ".join((result.stderr or result.stdout).decode(errors="replace").split())[-160:]
        raise RuntimeFault(f"network {wanted.network}: cannot be measured: {said}", remedy="is the helper image current?")
    return Measured(**json.loads(result.stdout))


def verify(found: Measured, wanted: Impairment) -> None:
    """RuntimeFault where the network is not what the topology says."""
    expected = (1 - wanted.loss) ** 2
    share = found.answered / found.sent
    margin = _SIGMAS * sqrt(expected * (1 - expected) / found.sent) + _SLACK
    if abs(share - expected) > margin:
        lost = f"{1 - share:.1%} of the echoes are lost, {1 - expected:.1%} should be (both ways)"
        raise RuntimeFault(f"network {wanted.network}: loss is not as stated: {lost}", remedy="run again on a quieter machine")
    if found.answered and found.round_trip < 2 * wanted.delay:
        what = f"an echo came after {found.round_trip * 1000:.1f} ms, {2 * wanted.delay * 1000:g} ms are the least"
        raise RuntimeFault(f"network {wanted.network}: delay is not as stated: {what}", remedy="report it")
    if wanted.rate and found.rate > _FASTER * wanted.rate:
        what = f"{found.rate / 1e6:.2f} Mbit/s came through, {wanted.rate / 1e6:g} Mbit/s are the most"
        raise RuntimeFault(f"network {wanted.network}: rate is not as stated: {what}", remedy="report it")

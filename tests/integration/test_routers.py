"""A router between two lab networks on a real engine: elements behind it reach the other side, and nothing of it stays on the host."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from lab.errors import RuntimeFault
from lab.runtime.base import Attachment, ContainerSpec
from lab.runtime.docker import DockerRuntime
from lab.runtime.forwarding import close_forwarding, open_forwarding
from lab.runtime.impairment import Impairment, impair, measure, verify
from lab.runtime.labels import Identity
from lab.runtime.lease import Lease, Request, lease_networks
from lab.runtime.namespace import beside, settle
from lab.runtime.reaper import remove_lab
from lab.runtime.seal import Prober, helper_spec, probe, seal, verify_sealed

pytestmark = pytest.mark.docker
IMAGE = "siplab/helper:1"
ROUTES = {"net.ipv4.ip_forward": "1", "net.ipv6.conf.all.forwarding": "1"}

MASQUERADE = """
nft add table inet lab
nft 'add chain inet lab post {{ type nat hook postrouting priority srcnat; }}'
nft add rule inet lab post {subnet} daddr {to} masquerade
"""


@dataclass
class Bench:
    """outside (20) – router (10 on both) – inside (30, private)."""

    runtime: DockerRuntime
    identity: Identity
    outside: Lease
    inside: Lease
    helper: str
    server: str
    client: str
    opened: tuple[str, ...]


def place(lease: Lease, number: int) -> Attachment:
    return Attachment(lease.spec.name, str(lease.spec.ipv4[number]), str(lease.spec.ipv6[number]) if lease.spec.ipv6 else "")


def start(runtime: DockerRuntime, identity: Identity, name: str, *places: Attachment, capabilities: tuple[str, ...] = ()) -> str:
    spec = ContainerSpec(
        identity.name(name),
        IMAGE,
        places,
        command=("sleep", "infinity"),
        capabilities=capabilities,
        sysctls=ROUTES if capabilities else {},
        labels=identity.labels(element=name),
    )
    handle = runtime.create(spec)
    runtime.start(handle)
    return handle


@pytest.fixture
def bench() -> Iterator[Bench]:
    runtime, identity = DockerRuntime(), Identity()
    try:
        outside, inside = lease_networks(runtime, identity, ["internet", Request("home", private=True)])
        helper = runtime.create(helper_spec(identity, IMAGE, forwards=True))
        runtime.start(helper)
        seal(runtime, helper, (outside, inside))
        opened = open_forwarding(runtime, helper, identity)
        router = start(runtime, identity, "router", place(inside, 10), place(outside, 10), capabilities=("NET_ADMIN",))
        for subnet, to in (("ip", outside.spec.ipv4), ("ip6", outside.spec.ipv6)):
            assert runtime.exec(router, ("sh", "-ec", MASQUERADE.format(subnet=subnet, to=to))).exit_code == 0
        server = start(runtime, identity, "server", place(outside, 20))
        client = start(runtime, identity, "client", place(inside, 30))
        yield Bench(runtime, identity, outside, inside, helper, server, client, opened)
    finally:
        remove_lab(runtime, identity.selector)


def way_out(bench: Bench) -> tuple[str, ...]:
    ipv6 = bench.inside.spec.ipv6
    assert ipv6
    return ("0.0.0.0/0", "via", str(bench.inside.spec.ipv4[10]), "::/0", "via", str(ipv6[10]))


def reached(bench: Bench, wanted: int, seconds: float = 4.0) -> tuple[str, ...]:
    """Which of the server's addresses answer the client; again until as many do as wanted, for an IPv6 address is silent at first."""
    addresses = (str(bench.outside.spec.ipv4[20]), str(bench.outside.spec.ipv6[20]) if bench.outside.spec.ipv6 else "")
    end = time.monotonic() + seconds
    while len(found := probe(bench.runtime, bench.client, addresses)) < wanted and time.monotonic() < end:
        pass
    return found


def test_the_way_out_leads_through_the_router(bench: Bench, record_property: Callable[[str, object], None]) -> None:
    assert reached(bench, 1, 1.0) == (), "the control: without its route nobody is reached"
    begun = time.monotonic()
    settle(bench.runtime, bench.identity, IMAGE, "client", bench.client, way_out(bench))
    record_property("settle_seconds", round(time.monotonic() - begun, 2))
    assert len(reached(bench, 2)) == 2
    status = bench.runtime.exec(bench.client, ("cat", "/proc/self/status")).stdout.decode()
    assert "CapBnd:\t0000000000000000" in status, "the element itself may do nothing of the kind"


def test_bridged_frames_pass_only_by_the_rule(bench: Bench) -> None:
    settle(bench.runtime, bench.identity, IMAGE, "client", bench.client, way_out(bench))
    assert len(reached(bench, 2)) == 2
    is_on = Path("/proc/sys/net/bridge/bridge-nf-call-iptables").read_text().strip() == "1"
    if not is_on:
        assert bench.opened == ()
        return
    assert bench.opened
    rule = ("-i", bench.identity.bridges, "-m", "physdev", "--physdev-is-bridged", "-j", "ACCEPT")
    for chain in ("DOCKER-USER", "DOCKER-ISOLATION-STAGE-1"):
        assert len(reached(bench, 2)) == 2, "one of the two is enough: engines take the jump to the first away for a moment"
        for tables in bench.opened:
            found = bench.runtime.exec(bench.helper, (tables, "-w", "-C", chain, *rule)).exit_code == 0
            assert not found or bench.runtime.exec(bench.helper, (tables, "-w", "-D", chain, *rule)).exit_code == 0
    assert str(bench.outside.spec.ipv4[20]) not in reached(bench, 1, 1.0), "the rule is what lets it pass"


def test_a_private_network_is_proven_sealed_from_inside(bench: Bench) -> None:
    leases = (bench.outside, bench.inside)
    settle(bench.runtime, bench.identity, IMAGE, "client", bench.client, way_out(bench))
    reached(bench, 2)
    with beside(bench.runtime, bench.identity, IMAGE, bench.client) as side:
        home = Prober(side, (str(bench.inside.spec.ipv4[10]),), (bench.inside,))
        internet = Prober(bench.server, (str(bench.outside.spec.ipv4[10]),), (bench.outside,))
        proof = verify_sealed(bench.runtime, bench.helper, leases, home, internet)
    assert set(proof.probed) == {*bench.outside.gateways, *bench.inside.gateways}


def test_nothing_stays_on_the_host_but_other_labs_rules(bench: Bench) -> None:
    def rules() -> str:
        return subprocess.run(["iptables-save"], capture_output=True, text=True, check=True).stdout

    stale = ("DOCKER-USER", "-i", "sl00000000n+", "-m", "physdev", "--physdev-is-bridged", "-j", "ACCEPT")
    for tables in bench.opened:
        assert bench.runtime.exec(bench.helper, (tables, "-w", "-I", *stale)).exit_code == 0
    assert not bench.opened or bench.identity.bridges in rules(), "the control"
    open_forwarding(bench.runtime, bench.helper, bench.identity)
    assert "sl00000000n+" not in rules(), "what a lab left that has no bridge any more"
    bench.runtime.kill(bench.helper)
    remove_lab(bench.runtime, bench.identity.selector)
    assert bench.identity.bridges not in rules(), "although the helper had ended"


def test_a_network_of_one_family(bench: Bench) -> None:
    (only6, only4) = lease_networks(bench.runtime, bench.identity, [Request("six", ipv4=False), Request("four", ipv6=False)], first=2)
    seal(bench.runtime, bench.helper, (only6, only4))
    assert only6.spec.ipv6
    at = (Attachment(only6.spec.name, "", str(only6.spec.ipv6[40])), place(only4, 40))
    handle = start(bench.runtime, bench.identity, "both", *at)
    settle(bench.runtime, bench.identity, IMAGE, "both", handle, (str(only6.spec.ipv6[40]),))
    shown = bench.runtime.exec(handle, ("ip", "-o", "address", "show")).stdout.decode().splitlines()
    devices = {line.split()[1]: [] for line in shown}
    for line in shown:
        devices[line.split()[1]].append(line.split()[3])
    (four,) = [device for device, addresses in devices.items() if str(only4.spec.ipv4[40]) in " ".join(addresses)]
    (six,) = [device for device, addresses in devices.items() if str(only6.spec.ipv6[40]) in " ".join(addresses)]
    assert all("." not in address for address in devices[six])
    assert all(":" not in address for address in devices[four])


def test_a_bad_network_is_measured_to_be_so(bench: Bench) -> None:
    bad = Impairment("internet", bench.outside.spec.bridge, loss=0.2, rate=2_000_000)
    impair(bench.runtime, bench.helper, bench.identity, [bad])
    with beside(bench.runtime, bench.identity, IMAGE, bench.server) as side:
        found = measure(bench.runtime, side, str(bench.outside.spec.ipv4[10]), bad)
    verify(found, bad)
    for other in (replace(bad, loss=0.05), replace(bad, rate=500_000), replace(bad, delay=1.0)):
        with pytest.raises(RuntimeFault, match="not as stated"):
            verify(found, other)
    table = ("nft", "list", "table", "bridge", bench.identity.bridges.rstrip("+"))
    assert bench.runtime.exec(bench.helper, table).exit_code == 0, "the control"
    close_forwarding(bench.runtime, bench.helper, bench.runtime.inventory({**bench.identity.selector, "siplab.forwarding": ""})[0].labels)
    assert bench.runtime.exec(bench.helper, table).exit_code != 0


def test_a_delay_is_there_or_refused_in_one_line(bench: Bench) -> None:
    late = Impairment("internet", bench.outside.spec.bridge, delay=0.03)
    probe_of_the_kernel = ("sh", "-c", "ip link add name slq type dummy && tc qdisc add dev slq root netem delay 1ms")
    with beside(bench.runtime, bench.identity, IMAGE, bench.server, ("NET_ADMIN",)) as side:
        has_netem = bench.runtime.exec(side, probe_of_the_kernel).exit_code == 0
    if not has_netem:
        with pytest.raises(RuntimeFault, match="network internet: delay: not on this kernel, it needs netem"):
            impair(bench.runtime, bench.helper, bench.identity, [late])
        return
    impair(bench.runtime, bench.helper, bench.identity, [late])
    with beside(bench.runtime, bench.identity, IMAGE, bench.server) as side:
        verify(measure(bench.runtime, side, str(bench.outside.spec.ipv4[10]), late), late)

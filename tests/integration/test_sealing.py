"""The seal on a real engine: closed after `seal`, and the proof fails where it is open."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network

import pytest

from lab.errors import RuntimeFault
from lab.runtime.base import Attachment, ContainerSpec
from lab.runtime.docker import DockerRuntime
from lab.runtime.labels import Identity
from lab.runtime.lease import Lease, Pool, lease_networks
from lab.runtime.reaper import remove_lab
from lab.runtime.seal import Prober, helper_spec, probe, seal, verify_sealed

pytestmark = pytest.mark.docker
IMAGE = "siplab/helper:1"
POOL = Pool(IPv4Network("198.18.32.0/20"))


@dataclass
class Bench:
    runtime: DockerRuntime
    leases: tuple[Lease, ...]
    helper: str
    one: str
    two: str
    identity: Identity

    @property
    def prober(self) -> Prober:
        return Prober(self.one, tuple(str(subnet[11]) for lease in self.leases for subnet in (lease.spec.ipv4, lease.spec.ipv6)))


@pytest.fixture
def bench() -> Iterator[Bench]:
    """Two elements on two networks, not yet sealed."""
    runtime, identity = DockerRuntime(), Identity()
    try:
        leases = lease_networks(runtime, identity, ["home", "internet"], POOL)
        helper = runtime.create(helper_spec(identity, IMAGE))
        runtime.start(helper)
        yield Bench(runtime, leases, helper, *(_element(runtime, identity, leases, number) for number in (10, 11)), identity)
    finally:
        remove_lab(runtime, identity.selector)


def _element(runtime: DockerRuntime, identity: Identity, leases: tuple[Lease, ...], number: int) -> str:
    places = tuple(Attachment(lease.spec.name, str(lease.spec.ipv4[number]), str(lease.spec.ipv6[number])) for lease in leases)
    name = f"e{number}"
    handle = runtime.create(
        ContainerSpec(identity.name(name), IMAGE, places, command=("sleep", "infinity"), labels=identity.labels(element=name))
    )
    runtime.start(handle)
    return handle


def _until_answered(bench: Bench, target: str) -> tuple[str, ...]:
    """A fresh IPv6 address is silent while duplicate address detection runs (RFC 4862 §5.4)."""
    end = time.monotonic() + 10
    while not (answered := probe(bench.runtime, bench.one, (target,))) and time.monotonic() < end:
        pass
    return answered


def test_an_unsealed_network_is_found_out_and_a_sealed_one_is_proven(bench: Bench) -> None:
    gateway = str(bench.leases[0].spec.ipv6[1])
    with pytest.raises(RuntimeFault, match=f"not sealed: the host has .*{gateway}"):
        verify_sealed(bench.runtime, bench.helper, bench.leases)
    assert _until_answered(bench, gateway) == (gateway,), "the negative control: an unsealed host does answer the probe"

    seal(bench.runtime, bench.helper, bench.leases)
    seal(bench.runtime, bench.helper, bench.leases)

    proof = verify_sealed(bench.runtime, bench.helper, bench.leases, bench.prober)
    assert gateway in proof.probed
    assert len(proof.bridges) == 2


def test_the_seal_lasts_when_elements_come_later(bench: Bench) -> None:
    seal(bench.runtime, bench.helper, bench.leases)
    _element(bench.runtime, bench.identity, bench.leases, 12)
    verify_sealed(bench.runtime, bench.helper, bench.leases, bench.prober)


@pytest.mark.parametrize("address", ["198.18.47.254/32", "2001:db8:0:2f::fe/128"])
def test_an_address_put_on_a_bridge_breaks_the_seal(bench: Bench, address: str) -> None:
    seal(bench.runtime, bench.helper, bench.leases)
    bridge = bench.leases[1].spec.bridge
    assert bench.runtime.exec(bench.helper, ("ip", "addr", "add", address, "dev", bridge)).exit_code == 0
    with pytest.raises(RuntimeFault, match="not sealed"):
        verify_sealed(bench.runtime, bench.helper, bench.leases, bench.prober)


def test_a_route_into_the_lab_breaks_the_seal(bench: Bench) -> None:
    seal(bench.runtime, bench.helper, bench.leases)
    spec = bench.leases[0].spec
    assert bench.runtime.exec(bench.helper, ("ip", "route", "add", str(spec.ipv4), "dev", spec.bridge)).exit_code == 0
    with pytest.raises(RuntimeFault, match="not sealed: the host routes"):
        verify_sealed(bench.runtime, bench.helper, bench.leases, bench.prober)


def test_a_probe_without_a_live_control_proves_nothing(bench: Bench) -> None:
    seal(bench.runtime, bench.helper, bench.leases)
    bench.runtime.remove(bench.two)
    with pytest.raises(RuntimeFault, match="not proven"):
        verify_sealed(bench.runtime, bench.helper, bench.leases, bench.prober)


def test_elements_have_no_privileges(bench: Bench) -> None:
    status = bench.runtime.exec(bench.one, ("cat", "/proc/self/status")).stdout.decode()
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert fields["CapBnd"] == fields["CapEff"] == "0" * 16
    assert fields["NoNewPrivs"] == "1"
    assert bench.runtime.exec(bench.one, ("ip", "link", "set", "eth0", "down")).exit_code != 0


def test_the_helper_may_do_network_things_only(bench: Bench) -> None:
    status = bench.runtime.exec(bench.helper, ("cat", "/proc/self/status")).stdout.decode()
    effective = int(next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff")), 16)
    net_admin, net_raw = 1 << 12, 1 << 13
    assert effective == net_admin | net_raw

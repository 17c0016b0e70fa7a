"""Labels, leases, parallel waits, the reaper and sealing, on the fake."""

import json
import os
import subprocess
import threading
import time
from dataclasses import replace
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

import pytest

from lab.errors import RuntimeFault
from lab.runtime.base import Attachment, ContainerSpec, EngineInfo, ExecResult, Found, NetworkSpec
from lab.runtime.fake import FakeImage, FakeRuntime
from lab.runtime.labels import Identity, Owner
from lab.runtime.lease import Pool, host_routes, lease_networks
from lab.runtime.parallel import run_all, run_each
from lab.runtime.reaper import remove_lab, remove_objects, remove_orphan, sweep
from lab.runtime.seal import Prober, helper_spec, seal, verify_sealed

SMALL = Pool(IPv4Network("198.18.32.0/22"))


# -- engines --------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("version", "at_once"), [("20.10.24+dfsg1", 1), ("23.0.1", 3), ("fake", 3)])
def test_containers_end_one_by_one_where_the_engine_may_hang(monkeypatch: pytest.MonkeyPatch, version: str, at_once: int) -> None:
    runtime, under_way, most = FakeRuntime({}), [], [0]
    monkeypatch.setattr(runtime, "info", lambda: EngineInfo("engine", version, "1.41", "", "", ""))
    together = threading.Barrier(at_once)

    def remove(handle: str) -> None:
        under_way.append(handle)
        together.wait(5)
        most[0] = max(most[0], len(under_way))
        under_way.remove(handle)

    monkeypatch.setattr(runtime, "remove", remove)
    assert remove_objects(runtime, [Found("container", name, name, {}) for name in ("a", "b", "c")]) == {}
    assert most == [at_once]


# -- labels -------------------------------------------------------------------------------------------------------------------------


def test_an_owner_survives_its_label_and_lives() -> None:
    me = Owner.current()
    assert Owner.parse(str(me)) == me
    assert not me.dead(me, "anything")


def test_an_owner_is_dead_only_where_that_is_sure() -> None:
    me = Owner.current()
    child = subprocess.Popen(["true"])
    child.wait()
    gone = replace(me, pid=child.pid, start=1)
    assert gone.dead(me)
    assert replace(me, start=me.start + 1).dead(me), "the pid is used again"
    assert not replace(gone, host="elsewhere").dead(me), "another machine"
    assert not replace(gone, pids="1").dead(me), "another PID namespace"
    rebooted = replace(gone, boot="before")
    assert rebooted.dead(me, engine_host=me.host)
    assert not rebooted.dead(me, engine_host="remote"), "perhaps another machine of the same name"


def test_a_zombie_is_dead() -> None:
    child = subprocess.Popen(["sleep", "30"])
    fields = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()
    owner = replace(Owner.current(), pid=child.pid, start=int(fields[19]))
    assert not owner.dead(Owner.current())
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert owner.dead(Owner.current())
    child.wait()


def test_names_fit() -> None:
    identity = Identity()
    assert len(identity.lab) == 8
    assert len(identity.bridge(9999)) <= 15
    assert identity.labels(element="alice")["siplab.element"] == "alice"


# -- leases -------------------------------------------------------------------------------------------------------------------------


def taken(runtime: FakeRuntime, number: int) -> None:
    ipv4, ipv6 = SMALL.candidate(number)
    runtime.create_network(NetworkSpec(f"other{number}", f"o{number}", ipv4, ipv6))


def test_both_families_of_a_lease_have_one_number() -> None:
    assert Pool().candidate(32) == (IPv4Network("198.18.32.0/24"), IPv6Network("2001:db8:0:20::/64"))
    assert Pool().candidate(512) == Pool().candidate(0)


def test_leases_avoid_what_others_have() -> None:
    runtime = FakeRuntime({})
    for number in (0, 1, 3):
        taken(runtime, number)
    (lease,) = lease_networks(runtime, Identity(), ["internet"], SMALL)
    assert (lease.spec.ipv4, lease.spec.ipv6) == SMALL.candidate(2)


class Racing(FakeRuntime):
    """Other labs take two subnets between the look and the creation."""

    def taken_subnets(self) -> list[IPv4Network | IPv6Network]:
        before = super().taken_subnets()
        if not before:
            for number in (0, 2):
                taken(self, number)
        return before


def test_a_lost_race_takes_the_next() -> None:
    leases = lease_networks(Racing({}), Identity(), ["a", "b"], SMALL)
    assert {lease.spec.ipv4 for lease in leases} == {SMALL.candidate(1)[0], SMALL.candidate(3)[0]}


def test_an_exhausted_pool_is_a_fault_and_gives_back_what_it_took() -> None:
    runtime = FakeRuntime({})
    for number in (0, 1, 2):
        taken(runtime, number)
    with pytest.raises(RuntimeFault, match="network b: no free subnet"):
        lease_networks(runtime, Identity(), ["a", "b"], SMALL)
    assert len(runtime.networks) == 3


def test_host_routes_are_read_but_not_the_default(tmp_path: Path) -> None:
    (tmp_path / "route").write_text(
        "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\n"
        "eth0\t00000000\t010012C6\t0003\t0\t0\t0\t00000000\n"
        "eth0\t002012C6\t00000000\t0001\t0\t0\t0\t00FFFFFF\n"
    )
    (tmp_path / "ipv6_route").write_text(
        "20010db8000000200000000000000000 40 00000000000000000000000000000000 00 0 00000100 00000002 00000000 00000001 eth0\n"
        "fe800000000000000000000000000000 40 00000000000000000000000000000000 00 0 00000100 00000001 00000000 00000001 eth0\n"
        "00000000000000000000000000000000 00 00000000000000000000000000000000 00 0 00000400 00000001 00000000 00000003 eth0\n"
    )
    assert host_routes(tmp_path) == [IPv4Network("198.18.32.0/24"), IPv6Network("2001:db8:0:20::/64")]
    assert host_routes(tmp_path / "none") == []


# -- parallel -----------------------------------------------------------------------------------------------------------------------


def test_results_keep_the_order_of_the_tasks() -> None:
    assert list(run_all("count", {name: name.upper for name in "cab"}, timeout=5).items()) == [("c", "C"), ("a", "A"), ("b", "B")]
    assert run_all("nothing", {}, timeout=5) == {}


def test_the_first_error_wins_and_those_under_way_are_awaited() -> None:
    failed, ended = threading.Event(), threading.Event()

    def fails() -> None:
        failed.set()
        raise RuntimeFault("broken")

    def slow() -> None:
        failed.wait(5)
        ended.set()

    with pytest.raises(RuntimeFault, match="broken"):
        run_all("start", {"slow": slow, "fails": fails}, timeout=5)
    assert ended.is_set()


def test_the_deadline_names_what_is_late() -> None:
    release = threading.Event()
    with pytest.raises(RuntimeFault, match=r"start: not done within 0\.1 s: slow"):
        run_all("start", {"quick": lambda: None, "slow": lambda: release.wait(5)}, timeout=0.1)
    release.set()


def test_clean_up_goes_on_after_errors() -> None:
    def fails() -> None:
        raise RuntimeFault("stuck")

    done: list[int] = []
    errors = run_each({"a": fails, "b": lambda: done.append(1)}, timeout=5)
    assert (list(errors), done) == (["a"], [1])


# -- reaper -------------------------------------------------------------------------------------------------------------------------


def lab(runtime: FakeRuntime, identity: Identity) -> None:
    (lease,) = lease_networks(runtime, identity, ["net"], SMALL)
    volume = runtime.create_volume(identity.name("keys"), identity.labels())
    at = Attachment(lease.spec.name, str(lease.spec.ipv4[10]), str(lease.spec.ipv6[16]))
    spec = ContainerSpec(identity.name("pa"), "image", (at,), volumes={volume: ("/keys", True)}, labels=identity.labels())
    runtime.start(runtime.create(spec))


def test_a_lab_is_removed_in_the_order_that_works() -> None:
    runtime, identity, other = FakeRuntime({"image": FakeImage()}), Identity(), Identity()
    lab(runtime, identity)
    lab(runtime, other)
    assert remove_lab(runtime, identity.selector) == 3
    assert runtime.inventory(identity.selector) == []
    assert len(runtime.inventory(other.selector)) == 3


def test_what_cannot_be_removed_is_named() -> None:
    runtime, identity = FakeRuntime({"image": FakeImage()}), Identity()
    lab(runtime, identity)
    runtime.remove = lambda handle: (_ for _ in ()).throw(RuntimeFault("device busy"))  # type: ignore[method-assign]
    with pytest.raises(RuntimeFault, match=rf"left: siplab-{identity.lab}-pa.* device busy"):
        remove_lab(runtime, identity.selector, timeout=0.1)


def test_what_comes_late_from_a_dead_owner_is_removed_too() -> None:
    runtime, identity = FakeRuntime({"image": FakeImage()}), Identity()
    lab(runtime, identity)
    late = threading.Timer(0.5, lambda: runtime.create(ContainerSpec(identity.name("late"), "image", labels=identity.labels())))
    late.start()
    assert remove_orphan(runtime, identity.selector, timeout=20) == 4
    assert runtime.containers == {}


def test_the_sweep_takes_dead_owners_labs_only() -> None:
    me = Owner.current()
    child = subprocess.Popen(["true"])
    child.wait()
    dead = Identity(owner=str(replace(me, pid=child.pid, start=1)))
    mine, far, odd = Identity(), Identity(owner=str(replace(me, host="elsewhere", pid=1))), Identity(owner="not ours")
    runtime = FakeRuntime({"image": FakeImage()})
    for each in (dead, mine, far, odd):
        lab(runtime, each)
    assert sweep(runtime) == (dead.lab,)
    assert [len(runtime.inventory(each.selector)) for each in (dead, mine, far, odd)] == [0, 3, 3, 3]
    assert sweep(runtime) == ()


# -- sealing ------------------------------------------------------------------------------------------------------------------------


class Host:
    """What `ip` and the probe say on a scripted host."""

    def __init__(self) -> None:
        self.addresses: dict[str, list[str]] = {"eth0": ["198.51.100.7"], "lo": ["127.0.0.1"]}
        self.routes: list[dict[str, str]] = [{"dst": "default", "dev": "eth0"}, {}]
        self.answering: list[str] = ["198.18.33.11"]
        self.exit_code = 0
        self.torn = 0

    def execute(self, argv: tuple[str, ...], stdin: bytes | None) -> ExecResult:
        if argv[0] == "ip" and self.torn:
            self.torn -= 1
            return ExecResult(0, b"[]", b"Dump was interrupted and may be inconsistent.\n")
        if argv[0] == "python3":
            return ExecResult(self.exit_code, json.dumps([one for one in argv[4:] if one in self.answering]).encode(), b"no such file")
        if "route" in argv:
            return ExecResult(self.exit_code, json.dumps(self.routes).encode(), b"")
        links = [{"ifname": name, "addr_info": [{"local": one} for one in ones]} for name, ones in self.addresses.items()]
        return ExecResult(self.exit_code, json.dumps(links).encode(), b"denied")


@pytest.fixture
def host() -> Host:
    return Host()


def sealed(host: Host, prober: bool = True, control: tuple[str, ...] = ("198.18.33.11",)) -> object:
    runtime, identity = FakeRuntime({"helper": FakeImage(execute=host.execute)}), Identity()
    leases = lease_networks(runtime, identity, ["net"], Pool(IPv4Network("198.18.33.0/24")))
    helper = runtime.create(helper_spec(identity, "helper"))
    runtime.start(helper)
    host.addresses.setdefault(leases[0].spec.bridge, host.addresses.pop("BRIDGE", []))
    host.routes = [{**route, "dev": leases[0].spec.bridge} if route.get("dev") == "BRIDGE" else route for route in host.routes]
    seal(runtime, helper, leases)
    return verify_sealed(runtime, helper, leases, Prober(helper, control) if prober else None)


def test_a_sealed_lab_passes_and_says_what_was_tried(host: Host) -> None:
    assert sealed(host).probed == ("198.18.33.1", "2001:db8:0:21::1")  # type: ignore[attr-defined]


def test_an_address_on_the_bridge_is_no_seal(host: Host) -> None:
    host.addresses["BRIDGE"] = ["fe80::1"]
    with pytest.raises(RuntimeFault, match="not sealed: the host has fe80::1"):
        sealed(host)


def test_a_route_into_the_bridge_is_no_seal(host: Host) -> None:
    host.routes.append({"dst": "198.18.33.0/24", "dev": "BRIDGE"})
    with pytest.raises(RuntimeFault, match=r"not sealed: the host routes 198\.18\.33\.0/24"):
        sealed(host)


def test_an_answering_gateway_is_no_seal(host: Host) -> None:
    host.answering.append("198.18.33.1")
    with pytest.raises(RuntimeFault, match=r"not sealed: an element reaches 198\.18\.33\.1"):
        sealed(host)


@pytest.mark.parametrize("control", [(), ("198.18.33.99",)])
def test_a_probe_that_reaches_nothing_proves_nothing(host: Host, control: tuple[str, ...]) -> None:
    with pytest.raises(RuntimeFault, match="not proven"):
        sealed(host, control=control)


def test_a_failing_helper_is_no_proof(host: Host) -> None:
    host.exit_code = 1
    with pytest.raises(RuntimeFault, match="denied"):
        sealed(host)


def test_a_torn_listing_is_no_proof(host: Host) -> None:
    host.torn = 3
    assert sealed(host)
    host.torn = 1000
    with pytest.raises(RuntimeFault, match="changes all the time"):
        sealed(host)


def test_no_network_is_no_proof() -> None:
    with pytest.raises(RuntimeFault, match="no network"):
        verify_sealed(FakeRuntime({}), "h", ())


def test_a_hanging_start_can_be_released() -> None:
    runtime = FakeRuntime({"image": FakeImage(hangs=frozenset({"start"}), fails={"put": "disk full"})})
    handle = runtime.create(ContainerSpec("x", "image"))
    with pytest.raises(RuntimeFault, match="disk full"):
        runtime.put(handle, {})
    threading.Timer(0.05, runtime.release.set).start()
    before = time.monotonic()
    runtime.start(handle)
    assert time.monotonic() - before < 5

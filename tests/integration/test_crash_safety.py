"""Whatever kills the owner of a lab, nothing of the lab stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab.runtime.base import Found
from lab.runtime.docker import DockerRuntime
from lab.runtime.labels import LAB, MARK, Identity
from lab.runtime.reaper import Watchdog, remove_lab, sweep

pytestmark = pytest.mark.docker

OWNER = """
import sys
from ipaddress import IPv4Network
from lab.runtime.base import Attachment, ContainerSpec
from lab.runtime.docker import DockerRuntime
from lab.runtime.forwarding import open_forwarding
from lab.runtime.labels import Identity
from lab.runtime.lease import Pool, lease_networks
from lab.runtime.parallel import run_all
from lab.runtime.reaper import Watchdog, remove_lab
from lab.runtime.seal import helper_spec, seal

IMAGE, dog, me, runtime = "siplab/helper:1", None, Identity(), DockerRuntime()
dog = Watchdog(me.lab)
print(me.lab, dog.pid, flush=True)


def element(lease, number):
    at = Attachment(lease.spec.name, str(lease.spec.ipv4[number]), str(lease.spec.ipv6[number]))
    keys = {me.name("keys"): ("/keys", True)}
    spec = ContainerSpec(me.name(f"e{number}"), IMAGE, (at,), command=("sleep", "infinity"), volumes=keys, labels=me.labels())
    runtime.start(runtime.create(spec))
    print("started", flush=True)


try:
    runtime.create_volume(me.name("keys"), me.labels())
    leases = lease_networks(runtime, me, ["a", "b"], Pool(IPv4Network("198.18.32.0/20")))
    helper = runtime.create(helper_spec(me, IMAGE, forwards=True))
    runtime.start(helper)
    seal(runtime, helper, leases)
    print("forwarding" if open_forwarding(runtime, helper, me) else "closed", flush=True)
    print("sealed", flush=True)
    run_all("start", {str(n): lambda n=n: element(leases[n % 2], n) for n in range(10, 16)}, timeout=60)
    print("up", flush=True)
    sys.stdin.read()
finally:
    remove_lab(runtime, me.selector)
    dog.dismiss()
    print("down", flush=True)
"""


@dataclass
class Lab:
    """A lab in a process of its own, led by the process group's leader as from a terminal."""

    process: subprocess.Popen[str]
    id: str
    watchdog: int
    runtime: DockerRuntime

    def until(self, word: str) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.strip() == word:
                return
        raise AssertionError(f"the owner ended before {word!r}: {self.process.stderr.read() if self.process.stderr else ''}")

    def left(self) -> list[Found]:
        return self.runtime.inventory({MARK: "1", LAB: self.id})

    def bridges(self) -> list[str]:
        return [link.name for link in Path("/sys/class/net").iterdir() if link.name.startswith(f"sl{self.id}")]


@pytest.fixture
def lab() -> Iterator[Lab]:
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    name, watchdog = process.stdout.readline().split()
    lab = Lab(process, name, int(watchdog), DockerRuntime())
    yield lab
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe:
            pipe.close()
    remove_lab(lab.runtime, {MARK: "1", LAB: lab.id})


def within(seconds: float, what: Callable[[], bool]) -> float:
    """Seconds until `what` holds."""
    start = time.monotonic()
    while not what():
        assert time.monotonic() - start < seconds, f"not within {seconds} s"
        time.sleep(0.05)
    return time.monotonic() - start


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def firewall() -> str:
    """All rules of the host, where this process may see them and the engine is local."""
    result = subprocess.run(["iptables-save"], capture_output=True, text=True, check=False)
    return result.stdout if result.returncode == 0 else ""


def firewall_is_asked() -> bool:
    """Does the host's firewall see bridged frames."""
    switch = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")
    return switch.is_file() and switch.read_text().strip() == "1" and bool(firewall())


@pytest.mark.parametrize("moment", ["sealed", "started", "up"])
def test_a_killed_owner_leaves_nothing(lab: Lab, moment: str, record_property: Callable[[str, object], None]) -> None:
    lab.until(moment)
    assert lab.left(), "the control: there is something to be removed"
    assert f"-i sl{lab.id}n+" in firewall() or not firewall_is_asked(), "and a rule, where one is needed"
    lab.process.kill()
    seconds = within(30, lambda: not lab.left() and not runs(lab.watchdog))
    record_property("seconds", round(seconds, 2))
    print(f"killed when {moment}: nothing left after {seconds:.2f} s")
    assert lab.bridges() == []
    assert lab.id not in firewall()


def test_the_sweep_takes_over_when_the_watchdog_is_killed_too(lab: Lab) -> None:
    lab.until("up")
    os.kill(lab.watchdog, signal.SIGKILL)
    lab.process.kill()
    lab.process.wait()
    assert lab.left()
    assert lab.id in sweep(lab.runtime)
    assert lab.left() == []
    within(5, lambda: not lab.bridges())  # another process on this machine may be sweeping too
    assert lab.id not in firewall()


def test_the_sweep_spares_the_living(lab: Lab) -> None:
    lab.until("up")
    before = len(lab.left())
    assert lab.id not in sweep(lab.runtime)
    assert len(lab.left()) == before


def test_ctrl_c_lets_the_owner_clean_up_before_the_watchdog(lab: Lab) -> None:
    lab.until("up")
    os.killpg(lab.process.pid, signal.SIGINT)
    lab.until("down")
    assert lab.left() == []
    within(5, lambda: not runs(lab.watchdog))


def test_ctrl_c_during_the_start_leaves_nothing(lab: Lab) -> None:
    lab.until("sealed")
    os.killpg(lab.process.pid, signal.SIGINT)
    lab.until("down")
    within(10, lambda: not lab.left() and not runs(lab.watchdog))


def test_signals_to_the_watchdog_alone_do_not_end_it(lab: Lab) -> None:
    lab.until("sealed")
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        os.kill(lab.watchdog, number)
    lab.until("up")
    assert runs(lab.watchdog)


def test_a_dismissed_watchdog_ends_without_touching_the_lab() -> None:
    runtime, identity = DockerRuntime(), Identity()
    volume = runtime.create_volume(identity.name("keys"), identity.labels())
    watchdog = Watchdog(identity.lab)
    watchdog.dismiss()
    watchdog.dismiss()
    try:
        assert not runs(watchdog.pid)
        assert [item.handle for item in runtime.inventory(identity.selector)] == [volume]
    finally:
        remove_lab(runtime, identity.selector)

"""What every Runtime keeps: the same tests on the fake and on a real engine."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from ipaddress import IPv4Network

import pytest

from lab.errors import ImageError, RuntimeFault
from lab.runtime.base import Attachment, ContainerSpec, ExecResult, FileContent, Runtime, SubnetInUse
from lab.runtime.fake import Exit, FakeImage, FakeRuntime
from lab.runtime.labels import Identity
from lab.runtime.lease import Lease, Pool, lease_networks
from lab.runtime.reaper import remove_lab

IMAGE = "siplab/helper:1"
POOL = Pool(IPv4Network("198.18.32.0/20"))
MAIN = ("sh", "-c", 'echo a log line >&2; echo ready; while read l; do [ "$l" = die ] && exit 7; echo "got $l"; done')
BOTH = ("sh", "-c", "echo out; echo err >&2; exit 3")
SLEEP = ("sleep", "20")
COUNT = ("sh", "-c", "echo 1; echo 2; echo 3")


def _respond(line: bytes) -> list[bytes]:
    if line == b"die":
        raise Exit(7)
    return [b"got " + line]


def _execute(argv: tuple[str, ...], stdin: bytes | None) -> ExecResult:
    if argv == SLEEP:
        raise TimeoutError
    return ExecResult(3, b"out\n", b"err\n") if argv == BOTH else ExecResult(0, stdin or b"" if argv == ("cat",) else b"", b"")


def _fake() -> FakeRuntime:
    image = FakeImage(
        respond=_respond,
        execute=_execute,
        stream=lambda argv: [b"1\n2\n", b"3\n"],
        greeting=(b"ready",),
        errors=(b"a log line",),
        files={"/etc/hostname": b"fake\n"},
    )
    return FakeRuntime({IMAGE: image})


def _docker() -> Runtime:
    from lab.runtime.docker import DockerRuntime

    return DockerRuntime()


@dataclass
class Kit:
    runtime: Runtime
    identity: Identity

    def networks(self, *names: str) -> tuple[Lease, ...]:
        return lease_networks(self.runtime, self.identity, names, POOL)

    def spec(self, name: str = "one", *on: Lease) -> ContainerSpec:
        places = tuple(Attachment(lease.spec.name, str(lease.spec.ipv4[10]), str(lease.spec.ipv6[16])) for lease in on)
        return ContainerSpec(self.identity.name(name), IMAGE, places, command=MAIN, stdin=True, labels=self.identity.labels(element=name))

    def started(self) -> str:
        handle = self.runtime.create(self.spec())
        self.runtime.start(handle)
        return handle


@pytest.fixture(params=[pytest.param(_fake, id="fake"), pytest.param(_docker, id="docker", marks=pytest.mark.docker)])
def kit(request: pytest.FixtureRequest) -> Iterator[Kit]:
    make: Callable[[], Runtime] = request.param
    kit = Kit(make(), Identity())
    yield kit
    remove_lab(kit.runtime, kit.identity.selector)
    assert kit.runtime.inventory(kit.identity.selector) == []


def eventually(what: Callable[[], bool], seconds: float = 10) -> bool:
    """Poll an engine's state, which has no event in the contract."""
    end = time.monotonic() + seconds
    while not what():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def test_info_names_an_api(kit: Kit) -> None:
    assert kit.runtime.info().api_version.split(".")[0] == "1"


def test_overlapping_subnet_is_refused(kit: Kit) -> None:
    (lease,) = kit.networks("a")
    with pytest.raises(SubnetInUse):
        kit.runtime.create_network(replace(lease.spec, name=kit.identity.name("b"), bridge=kit.identity.bridge(1)))
    assert lease.spec.ipv4 in kit.runtime.taken_subnets()
    assert lease.spec.ipv6 in kit.runtime.taken_subnets()


def test_missing_image_is_named_with_its_remedy(kit: Kit) -> None:
    with pytest.raises(ImageError, match=r"siplab/no-such:0.*siplab images build"):
        kit.runtime.create(replace(kit.spec(), image="siplab/no-such:0"))


def test_lines_go_both_ways_and_none_is_lost(kit: Kit) -> None:
    (lease,) = kit.networks("a")
    handle = kit.runtime.create(kit.spec("one", lease))
    channel = kit.runtime.attach(handle)
    kit.runtime.start(handle)
    lines = channel.lines()
    assert next(lines) == b"ready"
    for number in range(50):
        channel.send(b"%d" % number)
    assert [next(lines) for _ in range(50)] == [b"got %d" % number for number in range(50)]
    channel.close()
    channel.close()
    assert list(lines) == []
    assert eventually(lambda: not kit.runtime.state(handle).running), "EOF on stdin must end the main process"


def test_close_wakes_the_reader(kit: Kit) -> None:
    handle = kit.runtime.create(kit.spec())
    channel = kit.runtime.attach(handle)
    kit.runtime.start(handle)
    heard: list[bytes] = []
    reader = threading.Thread(target=lambda: heard.extend(channel.lines()))
    reader.start()
    assert eventually(lambda: heard == [b"ready"])
    channel.close()
    reader.join(5)
    assert not reader.is_alive()


def test_lines_end_with_the_process_and_send_then_fails(kit: Kit) -> None:
    handle = kit.runtime.create(kit.spec())
    channel = kit.runtime.attach(handle)
    kit.runtime.start(handle)
    channel.send(b"die")
    assert list(channel.lines()) == [b"ready"]
    assert eventually(lambda: kit.runtime.state(handle).exit_code == 7)
    with pytest.raises(RuntimeFault):
        channel.send(b"more")


def test_files_go_in_before_the_start_and_come_out_after_the_end(kit: Kit) -> None:
    handle = kit.runtime.create(kit.spec())
    kit.runtime.put(handle, {"/etc/siplab/tls/a.key": FileContent(b"secret", 0o600), "/etc/siplab/b": FileContent(b"\x00\xff")})
    kit.runtime.start(handle)
    kit.runtime.kill(handle)
    assert eventually(lambda: not kit.runtime.state(handle).running)
    assert kit.runtime.fetch(handle, "/etc/siplab") == {"tls/a.key": b"secret", "b": b"\x00\xff"}
    assert kit.runtime.fetch(handle, "/etc/siplab/b") == {"b": b"\x00\xff"}
    with pytest.raises(RuntimeFault, match="/nowhere"):
        kit.runtime.fetch(handle, "/nowhere")


def test_exec_keeps_the_streams_apart_and_feeds_stdin(kit: Kit) -> None:
    handle = kit.started()
    assert kit.runtime.exec(handle, BOTH) == ExecResult(3, b"out\n", b"err\n")
    big = bytes(range(256)) * 4096
    assert kit.runtime.exec(handle, ("cat",), stdin=big) == ExecResult(0, big, b"")
    assert kit.runtime.exec(handle, ("true",), stdin=big) == ExecResult(0, b"", b""), "stdin that nobody reads"


def test_exec_has_a_deadline(kit: Kit) -> None:
    handle = kit.started()
    before = time.monotonic()
    with pytest.raises(RuntimeFault, match=r"sleep 20.*0\.3 s"):
        kit.runtime.exec(handle, SLEEP, timeout=0.3)
    assert time.monotonic() - before < 5


def test_exec_needs_a_running_container(kit: Kit) -> None:
    handle = kit.runtime.create(kit.spec())
    with pytest.raises(RuntimeFault):
        kit.runtime.exec(handle, BOTH)


def test_stream_gives_all_output_and_the_outcome(kit: Kit) -> None:
    stream = kit.runtime.stream(kit.started(), COUNT)
    assert b"".join(stream.chunks()) == b"1\n2\n3\n"
    outcomes: list[ExecResult | None] = []
    assert eventually(lambda: outcomes.append(stream.outcome()) or outcomes[-1] is not None)
    assert outcomes[-1] == ExecResult(0, b"", b"")
    stream.close()


def test_a_command_that_goes_on_can_be_told_lines(kit: Kit) -> None:
    stream = kit.runtime.stream(kit.started(), MAIN, stdin=True)
    chunks = stream.chunks()
    stream.send(b"one")
    heard = b""
    while b"got one\n" not in heard:
        heard += next(chunks)
    stream.send(b"die")
    assert list(chunks) == []
    with pytest.raises(RuntimeFault, match="ended"):
        stream.send(b"two")


def test_logs_hold_both_streams_and_follow_ends_with_the_process(kit: Kit) -> None:
    handle = kit.started()
    follow = kit.runtime.follow_logs(handle)
    assert eventually(lambda: kit.runtime.logs(handle).count(b"\n") == 2)
    assert sorted(kit.runtime.logs(handle).splitlines()) == [b"a log line", b"ready"]
    assert kit.runtime.logs(handle, tail=1).count(b"\n") == 1
    kit.runtime.kill(handle)
    assert sorted(b"".join(follow.chunks()).splitlines()) == [b"a log line", b"ready"]


def test_closing_a_log_wakes_its_reader(kit: Kit) -> None:
    follow = kit.runtime.follow_logs(kit.started())
    reader = threading.Thread(target=lambda: list(follow.chunks()))
    reader.start()
    follow.close()
    reader.join(5)
    assert not reader.is_alive()


def test_state_tells_how_it_ended(kit: Kit) -> None:
    handle = kit.runtime.create(kit.spec())
    assert not kit.runtime.state(handle).running
    assert kit.runtime.state(handle).exit_code is None
    kit.runtime.start(handle)
    assert kit.runtime.state(handle).running
    kit.runtime.kill(handle, "SIGKILL")
    assert eventually(lambda: not kit.runtime.state(handle).running)
    assert kit.runtime.state(handle).exit_code == 137


def test_usage_is_zero_before_and_after_and_never_negative(kit: Kit) -> None:
    handle = kit.runtime.create(kit.spec())
    channel = kit.runtime.attach(handle)
    kit.runtime.start(handle)
    assert next(channel.lines()) == b"ready"
    running = kit.runtime.usage(handle)
    assert running.cpu_seconds >= 0
    assert running.memory_mb >= 0
    kit.runtime.kill(handle)
    assert eventually(lambda: not kit.runtime.state(handle).running)
    assert kit.runtime.usage(handle).memory_mb == 0


def test_unknown_handles_are_faults_but_removal_is_idempotent(kit: Kit) -> None:
    handle = kit.started()
    kit.runtime.remove(handle)
    kit.runtime.remove(handle)
    for call in (kit.runtime.start, kit.runtime.state, kit.runtime.logs, kit.runtime.kill, kit.runtime.attach, kit.runtime.follow_logs):
        with pytest.raises(RuntimeFault):
            call(handle)


def test_everything_is_found_by_its_labels(kit: Kit) -> None:
    lease, other = kit.networks("a", "b")
    volume = kit.runtime.create_volume(kit.identity.name("keys"), kit.identity.labels())
    handle = kit.runtime.create(replace(kit.spec("one", lease, other), volumes={volume: ("/var/lib/siplab/keys", True)}))
    found = kit.runtime.find(kit.identity.selector)
    assert found == {"containers": [handle], "networks": sorted_like([lease.handle, other.handle], found["networks"]), "volumes": [volume]}
    names = {item.name for item in kit.runtime.inventory(kit.identity.selector)}
    assert names == {kit.identity.name(name) for name in ("one", "a", "b", "keys")}
    assert kit.runtime.inventory({"siplab.element": "", **kit.identity.selector})[0].labels["siplab.element"] == "one"
    assert kit.runtime.find({"siplab.lab": "00000000"}) == {"containers": [], "networks": [], "volumes": []}


def sorted_like(handles: list[str], order: list[str]) -> list[str]:
    return sorted(handles, key=lambda handle: order.index(handle) if handle in order else -1)


def test_what_is_in_use_cannot_be_removed(kit: Kit) -> None:
    (lease,) = kit.networks("a")
    handle = kit.runtime.create(kit.spec("one", lease))
    kit.runtime.start(handle)
    assert kit.runtime.guests(lease.handle) == ()
    with pytest.raises(RuntimeFault):
        kit.runtime.remove_network(lease.handle)
    kit.runtime.remove(handle)
    kit.runtime.remove_network(lease.handle)
    kit.runtime.remove_network(lease.handle)


def test_concurrent_leases_do_not_collide(kit: Kit) -> None:
    """All start at the same place, the worst case: the engine's refusal makes leasing atomic."""
    made: list[Lease] = []

    def lease(number: int) -> None:
        made.extend(lease_networks(kit.runtime, kit.identity, [f"n{number}"], POOL, first=number))

    threads = [threading.Thread(target=lease, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len({lease.spec.ipv4 for lease in made}) == 5
    assert len({lease.spec.ipv6 for lease in made}) == 5


def test_a_guest_is_named_and_does_not_keep_a_network_from_going(kit: Kit) -> None:
    (lease,) = kit.networks("a")
    spec = kit.spec("guest", lease)
    guest = kit.runtime.create(replace(spec, labels={}))
    try:
        assert kit.runtime.guests(lease.handle) == (), "one that does not run is no guest"
        kit.runtime.start(guest)
        assert kit.runtime.guests(lease.handle) == (spec.name,)
        kit.runtime.remove_network(lease.handle)
        assert kit.runtime.guests(lease.handle) == ()
        assert kit.runtime.state(guest).running
    finally:
        kit.runtime.remove(guest)

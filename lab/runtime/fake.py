"""A container engine in memory, for tests of what stands on the runtime.

It keeps the contract that `DockerRuntime` keeps (tests/contract/test_runtime_contract.py runs on both) and fails on demand. Images are
scripted: what their main process answers to a line, what their commands print.
"""

from __future__ import annotations

import itertools
import posixpath
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from signal import Signals

from lab.errors import ImageError, RuntimeFault
from lab.runtime.base import (
    Channel,
    ContainerSpec,
    ContainerState,
    EngineInfo,
    ExecResult,
    FileContent,
    Found,
    NetworkSpec,
    Stream,
    SubnetInUse,
    Usage,
)
from lab.runtime.fake_streams import Exit, FakeStream, Told
from lab.runtime.labels import MARK

_HANG_SECONDS = 30.0


def _silent(line: bytes) -> Iterable[bytes]:
    return ()


def _succeed(argv: tuple[str, ...], stdin: bytes | None) -> ExecResult:
    return ExecResult(0, b"", b"")


def _empty(argv: tuple[str, ...]) -> Iterable[bytes]:
    return ()


@dataclass(frozen=True)
class FakeImage:
    """How the containers of an image behave.

    `respond`: a line on stdin → lines on stdout; may raise Exit. `greeting`, `errors`: lines on stdout and stderr at the start.
    `execute`, `stream`: commands; a command for which `execute` raises TimeoutError hangs. `fails`: method name → reason with which it
    fails (`create`, `put`, `start`, `exec`, …). `hangs`: method names that wait until `FakeRuntime.release` is set. `dies`: exit code
    with which the main process ends right after its greeting; `at_eof` the one when stdin is closed.
    """

    respond: Callable[[bytes], Iterable[bytes]] = _silent
    execute: Callable[[tuple[str, ...], bytes | None], ExecResult] = _succeed
    stream: Callable[[tuple[str, ...]], Iterable[bytes]] = _empty
    greeting: tuple[bytes, ...] = ()
    errors: tuple[bytes, ...] = ()
    files: Mapping[str, bytes] = field(default_factory=dict)
    fails: Mapping[str, str] = field(default_factory=dict)
    hangs: frozenset[str] = frozenset()
    dies: int | None = None
    at_eof: int | None = 0


@dataclass
class FakeContainer:
    """What the fake knows of a container. `log` is stdout and stderr, `stdout` what a channel reads."""

    handle: str
    spec: ContainerSpec
    image: FakeImage
    files: dict[str, bytes] = field(default_factory=dict)
    modes: dict[str, int] = field(default_factory=dict)
    stdout: list[bytes] = field(default_factory=list)
    log: list[bytes] = field(default_factory=list)
    state: ContainerState = field(default_factory=lambda: ContainerState(running=False))
    changed: threading.Condition = field(default_factory=threading.Condition)

    def say(self, lines: Iterable[bytes]) -> None:
        """The main process prints."""
        with self.changed:
            for line in lines:
                self.stdout.append(line)
                self.log.append(line)
            self.changed.notify_all()

    def end(self, code: int) -> None:
        """The main process ends."""
        with self.changed:
            if self.state.running:
                self.state = ContainerState(running=False, exit_code=code, started_at=self.state.started_at, finished_at="later")
            self.changed.notify_all()

    def follow(self, lines: list[bytes], closed: threading.Event) -> Iterator[bytes]:
        """Items of `lines` until the main process has ended or the reader closes."""
        for index in itertools.count():
            with self.changed:
                self.changed.wait_for(lambda at=index: closed.is_set() or len(lines) > at or self.state.exit_code is not None)  # type: ignore[misc]
                if closed.is_set() or len(lines) <= index:
                    return
                line = lines[index]
            yield line


class FakeRuntime:
    """See `lab.runtime.base.Runtime`. `calls` is what was asked of it, in order: (method, name of the container or network)."""

    def __init__(self, images: Mapping[str, FakeImage]) -> None:
        self.images = dict(images)
        self.containers: dict[str, FakeContainer] = {}
        self.networks: dict[str, NetworkSpec] = {}
        self.volumes: dict[str, Mapping[str, str]] = {}
        self.calls: list[tuple[str, str]] = []
        self.release = threading.Event()
        self._lock = threading.RLock()
        self._numbers = itertools.count(1)

    def by_name(self, name: str) -> FakeContainer:
        """The container whose name ends with `name`; KeyError where there is none."""
        for container in self.containers.values():
            if container.spec.name.endswith(name):
                return container
        raise KeyError(name)

    def info(self) -> EngineInfo:
        """An engine that does not exist."""
        return EngineInfo("fake", "23", "1.41", "none", "none", "none", "fake")

    # -- networks and volumes -----------------------------------------------------------------------------------------------------

    def create_network(self, spec: NetworkSpec) -> str:
        """Refuses overlaps and duplicate names as the engine does."""
        with self._lock:
            self.calls.append(("create_network", spec.name))
            for other in self.networks.values():
                if other.ipv4.overlaps(spec.ipv4) or (other.ipv6 and spec.ipv6 and other.ipv6.overlaps(spec.ipv6)):
                    raise SubnetInUse(f"{spec.ipv4} or {spec.ipv6} is in use")
                if other.name == spec.name:
                    raise RuntimeFault(f"cannot create network {spec.name}: it exists")
            self.networks[handle := self._handle("n")] = spec
            return handle

    def taken_subnets(self) -> list[IPv4Network | IPv6Network]:
        """Subnets of all networks."""
        with self._lock:
            return [subnet for spec in self.networks.values() for subnet in (spec.ipv4, spec.ipv6) if subnet]

    def remove_network(self, handle: str) -> None:
        """Refuses while a container is on it."""
        with self._lock:
            guests = self.guests(handle)
            if users := [c.spec.name for c in self._on(handle) if c.spec.name not in guests]:
                raise RuntimeFault(f"cannot remove network {handle}: it has active endpoints: {', '.join(users)}")
            for guest in guests:
                self.calls.append(("disconnect", guest))
            self.networks.pop(handle, None)

    def guests(self, handle: str) -> tuple[str, ...]:
        """Running containers on a network that carry no lab's mark."""
        return tuple(c.spec.name for c in self._on(handle) if c.state.running and MARK not in c.spec.labels)

    def _on(self, handle: str) -> list[FakeContainer]:
        with self._lock:
            spec = self.networks.get(handle)
            return [c for c in self.containers.values() if spec and any(at.network in (spec.name, handle) for at in c.spec.networks)]

    def create_volume(self, name: str, labels: Mapping[str, str]) -> str:
        """Create a volume."""
        with self._lock:
            self.volumes[name] = dict(labels)
        return name

    def remove_volume(self, handle: str) -> None:
        """Refuses while a container has it."""
        with self._lock:
            if any(handle in container.spec.volumes for container in self.containers.values()):
                raise RuntimeFault(f"cannot remove volume {handle}: volume is in use")
            self.volumes.pop(handle, None)

    # -- containers ---------------------------------------------------------------------------------------------------------------

    def create(self, spec: ContainerSpec) -> str:
        """Create without starting."""
        image = self.images.get(spec.image)
        if image is None:
            raise ImageError(f"image {spec.image} is not on the engine", remedy="run `siplab images build`")
        self._misbehave("create", spec.name, image)
        with self._lock:
            if any(other.spec.name == spec.name for other in self.containers.values()):
                raise RuntimeFault(f"cannot create container {spec.name}: the name is in use")
            known = {name for handle, network in self.networks.items() for name in (handle, network.name)}
            if missing := [at.network for at in spec.networks if at.network not in known]:
                raise RuntimeFault(f"cannot create container {spec.name}: network {missing[0]} not found")
            if spec.network_of and spec.network_of not in self.containers:
                raise RuntimeFault(f"cannot create container {spec.name}: container {spec.network_of} not found")
            handle = self._handle("c")
            self.containers[handle] = FakeContainer(handle, spec, image, dict(image.files))
            return handle

    def put(self, handle: str, files: Mapping[str, FileContent]) -> None:
        """Place files."""
        container = self._container("put", handle)
        container.files |= {path: content.data for path, content in files.items()}
        container.modes |= {path: content.mode for path, content in files.items()}

    def attach(self, handle: str) -> Channel:
        """Attach to the scripted main process."""
        return _FakeChannel(self._container("attach", handle))

    def start(self, handle: str) -> None:
        """Start: greet, and die where scripted."""
        container = self._container("start", handle)
        container.state = ContainerState(running=True, started_at="now")
        container.log.extend(container.image.errors)
        container.say(container.image.greeting)
        if container.image.dies is not None:
            container.end(container.image.dies)

    def exec(self, handle: str, argv: tuple[str, ...], *, stdin: bytes | None = None, timeout: float = 10.0, user: str = "") -> ExecResult:
        """Run a scripted command."""
        container = self._running("exec", handle)
        try:
            return container.image.execute(argv, stdin)
        except TimeoutError as error:
            raise RuntimeFault(f"{container.spec.name}: {' '.join(argv)[:80]}: no end within {timeout:g} s") from error

    def stream(self, handle: str, argv: tuple[str, ...], *, user: str = "", stdin: bool = False) -> Stream:
        """Run a scripted command that goes on; with `stdin` it says what `respond` does of each line."""
        container = self._running("stream", handle)
        if not stdin:
            return FakeStream(lambda closed: container.image.stream(argv), ends_with=0)
        told = Told(container.image.respond)
        return FakeStream(told.said, ends_with=0, told=told)

    def follow_logs(self, handle: str) -> Stream:
        """The log as it grows."""
        container = self._container("follow_logs", handle)
        return FakeStream(lambda closed: (line + b"\n" for line in container.follow(container.log, closed)), changed=container.changed)

    def logs(self, handle: str, *, tail: int | None = None) -> bytes:
        """The log so far."""
        lines = self._container("logs", handle).log
        return b"".join(line + b"\n" for line in (lines if tail is None else lines[-tail:]))

    def fetch(self, handle: str, path: str) -> dict[str, bytes]:
        """Files at or below `path`."""
        container = self._container("fetch", handle)
        if path in container.files:
            return {posixpath.basename(path): container.files[path]}
        below = path.rstrip("/") + "/"
        found = {name.removeprefix(below): data for name, data in container.files.items() if name.startswith(below)}
        if not found:
            raise RuntimeFault(f"cannot fetch {path} from container {container.spec.name}: no such file")
        return found

    def state(self, handle: str) -> ContainerState:
        """Running, or how it ended."""
        return self._container("state", handle).state

    def usage(self, handle: str) -> Usage:
        """A scripted process costs nothing."""
        self._container("usage", handle)
        return Usage(0.0, 0.0)

    def kill(self, handle: str, signal: str = "SIGKILL") -> None:
        """End the main process by a signal: scripted processes handle none."""
        self._running("kill", handle).end(128 + Signals[signal])

    def remove(self, handle: str) -> None:
        """Remove a container; gone already is fine."""
        with self._lock:
            container = self.containers.pop(handle, None)
        if container is not None:
            self.calls.append(("remove", container.spec.name))
            container.end(137)

    def find(self, labels: Mapping[str, str]) -> dict[str, list[str]]:
        """Handles of all objects with these labels."""
        found: dict[str, list[str]] = {"containers": [], "networks": [], "volumes": []}
        for item in self.inventory(labels):
            found[f"{item.kind}s"].append(item.handle)
        return found

    def inventory(self, labels: Mapping[str, str]) -> list[Found]:
        """All objects with these labels."""
        with self._lock:
            everything = [
                *(Found("container", c.handle, c.spec.name, dict(c.spec.labels)) for c in self.containers.values()),
                *(Found("network", handle, spec.name, dict(spec.labels)) for handle, spec in self.networks.items()),
                *(Found("volume", name, name, dict(theirs)) for name, theirs in self.volumes.items()),
            ]
        return [item for item in everything if all(key in item.labels and value in ("", item.labels[key]) for key, value in labels.items())]

    # -- scripted trouble ---------------------------------------------------------------------------------------------------------

    def _handle(self, kind: str) -> str:
        return f"{kind}{next(self._numbers)}"

    def _misbehave(self, method: str, name: str, image: FakeImage) -> None:
        self.calls.append((method, name))
        if method in image.hangs:
            self.release.wait(_HANG_SECONDS)
        if reason := image.fails.get(method):
            raise RuntimeFault(f"cannot {method} {name}: {reason}")

    def _container(self, method: str, handle: str) -> FakeContainer:
        with self._lock:
            container = self.containers.get(handle)
        if container is None:
            raise RuntimeFault(f"cannot {method} {handle}: no such container")
        self._misbehave(method, container.spec.name, container.image)
        return container

    def _running(self, method: str, handle: str) -> FakeContainer:
        container = self._container(method, handle)
        if not container.state.running:
            raise RuntimeFault(f"cannot {method} {container.spec.name}: it is not running")
        return container


class _FakeChannel:
    def __init__(self, container: FakeContainer) -> None:
        self._container = container
        self._closed = threading.Event()
        self._from = len(container.stdout)

    def send(self, line: bytes) -> None:
        if self._closed.is_set() or not self._container.state.running:
            raise RuntimeFault(f"{self._container.spec.name}: cannot write to stdin: it is closed", remedy="see the element's log")
        try:
            self._container.say(self._container.image.respond(line))
        except Exit as ended:
            self._container.end(ended.code)

    def lines(self) -> Iterator[bytes]:
        seen = itertools.islice(self._container.follow(self._container.stdout, self._closed), self._from, None)
        yield from seen

    def close(self) -> None:
        if not self._closed.is_set():
            self._closed.set()
            code = self._container.image.at_eof
            self._container.say(())
            if code is not None and self._container.spec.stdin:
                self._container.end(code)

"""What a lab needs of a container engine, and no more.

The protocol is narrow so that a fake can play it in unit tests and so that everything Docker-specific stays in one file. Handles are
opaque strings. Every call that waits takes a deadline in seconds and raises `RuntimeFault` when it passes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from typing import Literal, Protocol


class SubnetInUse(Exception):
    """The subnet of a new network overlaps another network or a host route: lease another one."""


@dataclass(frozen=True)
class EngineInfo:
    """What answered: for run.json and the doctor."""

    name: str
    version: str
    api_version: str
    operating_system: str
    kernel: str
    architecture: str
    host: str = ""  # host name of the machine the engine runs on

    @property
    def ends_at_once(self) -> bool:
        """Can containers of one network end at the same moment? Before 23 an engine can then hang for ever (moby issue 46661)."""
        major = self.version.partition(".")[0]
        return not major.isdigit() or int(major) >= 23


@dataclass(frozen=True)
class NetworkSpec:
    """A sealed bridge. `bridge` is the interface name on the engine's host, at most 15 characters.

    Without `ipv6` it has none. IPv4 cannot be left out everywhere (engines below 28): `namespace.settle` takes it off the elements.
    """

    name: str
    bridge: str
    ipv4: IPv4Network
    ipv6: IPv6Network | None
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Attachment:
    """A network and the static addresses on it. An empty IPv4 address is the engine's choice, an empty IPv6 one is none."""

    network: str
    ipv4: str
    ipv6: str


@dataclass(frozen=True)
class FileContent:
    """A file to place in a container before it starts."""

    data: bytes
    mode: int = 0o644


@dataclass(frozen=True)
class ContainerSpec:
    """A container with least privilege: all capabilities dropped but those named, no new privileges, bounded memory and processes.

    `network_of` is the handle of a running container whose network namespace it shares, instead of networks of its own.
    """

    name: str
    image: str
    networks: tuple[Attachment, ...] = ()
    host_network: bool = False
    network_of: str = ""
    command: tuple[str, ...] | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    capabilities: tuple[str, ...] = ()
    volumes: Mapping[str, tuple[str, bool]] = field(default_factory=dict)  # volume name -> (path, writable)
    sysctls: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    stdin: bool = False
    memory_mb: int = 256
    pids: int = 128


@dataclass(frozen=True)
class ContainerState:
    """How a container is. `exit_code` > 128 means killed by signal `exit_code - 128`; `memory_mb` is its limit."""

    running: bool
    exit_code: int | None = None
    oom_killed: bool = False
    started_at: str = ""
    finished_at: str = ""
    memory_mb: int = 0


@dataclass(frozen=True)
class Usage:
    """What a container has used so far: CPU seconds since its start, its memory in MiB and its processes now."""

    cpu_seconds: float
    memory_mb: float
    pids: int = 0


@dataclass(frozen=True)
class ExecResult:
    """Outcome of a finished command."""

    exit_code: int
    stdout: bytes
    stderr: bytes


@dataclass(frozen=True)
class Found:
    """An object of the engine: what the reaper and `siplab ps` list."""

    kind: Literal["container", "network", "volume"]
    handle: str
    name: str
    labels: Mapping[str, str]


class Channel(Protocol):
    """A container's stdin and stdout as lines, for agents."""

    def send(self, line: bytes) -> None:
        """Write one line (newline added). Raises RuntimeFault when the container is gone."""

    def lines(self) -> Iterator[bytes]:
        """Lines of stdout as they come, without the newline; ends at EOF. For one reader thread."""

    def close(self) -> None:
        """Half-close stdin and stop reading. Idempotent."""


class Stream(Protocol):
    """The output of a command that goes on, and its stdin where that was asked for."""

    def send(self, line: bytes) -> None:
        """Write one line (newline added) to its stdin. Raises RuntimeFault where the command has ended."""

    def chunks(self) -> Iterator[bytes]:
        """Raw stdout as it comes; ends when the command ends or the stream is closed."""

    def close(self) -> None:
        """Stop reading. Does not end the command. Idempotent."""

    def outcome(self) -> ExecResult | None:
        """How the command ended: exit code and the last of stderr (stdout empty: `chunks` gave it). None while it runs, and for logs."""


class Runtime(Protocol):
    """A container engine. All methods are safe to call from several threads at once."""

    def info(self) -> EngineInfo:
        """Identify the engine; RuntimeFault with a remedy where none answers."""

    def create_network(self, spec: NetworkSpec) -> str:
        """Create a sealed network; raises SubnetInUse where the subnet is taken."""

    def taken_subnets(self) -> list[IPv4Network | IPv6Network]:
        """Subnets of all networks that the engine has: what a new lease avoids."""

    def remove_network(self, handle: str) -> None:
        """Remove it, after taking its guests off it; a network that is gone already is fine."""

    def guests(self, handle: str) -> tuple[str, ...]:
        """Names of the running containers on a network that no lab made: people may attach their own."""

    def create_volume(self, name: str, labels: Mapping[str, str]) -> str:
        """Create a named volume (for evidence shared inside one lab)."""

    def remove_volume(self, handle: str) -> None:
        """Remove it; gone already is fine."""

    def create(self, spec: ContainerSpec) -> str:
        """Create a container without starting it. ImageError where the image is missing."""

    def put(self, handle: str, files: Mapping[str, FileContent]) -> None:
        """Place files at absolute paths (put_archive: works on a remote engine)."""

    def attach(self, handle: str) -> Channel:
        """Attach to stdin/stdout; call before `start` so that no line is lost."""

    def start(self, handle: str) -> None:
        """Start it."""

    def exec(self, handle: str, argv: tuple[str, ...], *, stdin: bytes | None = None, timeout: float = 10.0, user: str = "") -> ExecResult:
        """Run a command to its end."""

    def stream(self, handle: str, argv: tuple[str, ...], *, user: str = "", stdin: bool = False) -> Stream:
        """Run a command and follow its stdout; with `stdin` it can be told lines, which costs a fraction of another command."""

    def follow_logs(self, handle: str) -> Stream:
        """stdout and stderr of the main process, from the beginning and on."""

    def logs(self, handle: str, *, tail: int | None = None) -> bytes:
        """stdout and stderr so far; the last `tail` lines where given."""

    def fetch(self, handle: str, path: str) -> dict[str, bytes]:
        """Files below `path` (a file or a folder): relative name -> content. Works on a stopped container."""

    def state(self, handle: str) -> ContainerState:
        """Is it running, and if not, how did it end."""

    def usage(self, handle: str) -> Usage:
        """CPU and memory of a running container; zeros for one that has ended."""

    def kill(self, handle: str, signal: str = "SIGKILL") -> None:
        """Signal the main process."""

    def remove(self, handle: str) -> None:
        """Force-remove the container; gone already is fine."""

    def find(self, labels: Mapping[str, str]) -> dict[str, list[str]]:
        """Everything that carries these labels: {"containers": […], "networks": […], "volumes": […]}."""

    def inventory(self, labels: Mapping[str, str]) -> list[Found]:
        """The same with names and all labels; an empty label value matches any value."""

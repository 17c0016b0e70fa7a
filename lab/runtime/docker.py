"""The Docker Engine as a `Runtime`. The only module of the lab that imports `docker` besides image building.

Needs API 1.41 (engine 20.10); the version is negotiated. Nothing is bind-mounted, so a remote engine (DOCKER_HOST) works the same.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any, Literal
from urllib.parse import quote, urlencode

import requests
from docker import errors as docker_errors
from docker import types as docker_types

from lab.errors import ImageError, RuntimeFault
from lab.runtime.base import (
    Attachment,
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
from lab.runtime.docker_archive import pack, unpack
from lab.runtime.docker_endpoint import EngineAddress, engine_address
from lab.runtime.docker_guests import guests_on, remove_with_guests
from lab.runtime.docker_images import client, newest_api
from lab.runtime.docker_streams import DockerChannel, DockerStream, finish
from lab.runtime.docker_wire import STDERR, STDOUT, Connection, Endpoint, Refused
from lab.runtime.engine import no_rights

_MINIMUM_API = (1, 41)
_TWO_NETWORKS_AT_CREATE_API = (1, 44)
_ISOLATED_GATEWAY_ENGINE = 28
_REQUEST_SECONDS = 60
_DIAL_SECONDS = 10
_POOL = 64
_BRIDGE = "com.docker.network.bridge."


class DockerRuntime:
    """See `lab.runtime.base.Runtime`. One instance serves all threads of a process."""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        address = engine_address(environment)
        self._endpoint = address.endpoint()
        self._api, self._api_version = _connect(address, self._endpoint)
        self._version: Mapping[str, Any] | None = None
        self._version_lock = threading.Lock()

    # -- the engine ---------------------------------------------------------------------------------------------------------------

    def info(self) -> EngineInfo:
        """Identify the engine."""
        with _faults("identify the engine"):
            info, version = self._api.info(), self._versions()
        return EngineInfo(
            name=str(version.get("Platform", {}).get("Name") or "Docker Engine"),
            version=str(version["Version"]),
            api_version=self._api_version,
            operating_system=str(info.get("OperatingSystem", "")),
            kernel=str(info.get("KernelVersion", "")),
            architecture=str(info.get("Architecture", "")),
            host=str(info.get("Name", "")),
        )

    def _versions(self) -> Mapping[str, Any]:
        with self._version_lock:
            if self._version is None:
                self._version = self._api.version()
            return self._version

    # -- networks and volumes -----------------------------------------------------------------------------------------------------

    def create_network(self, spec: NetworkSpec) -> str:
        """A bridge without gateway address: `internal` alone would leave the host reachable."""
        with _faults(f"create network {spec.name}"):
            pools = [docker_types.IPAMPool(subnet=str(subnet)) for subnet in (spec.ipv4, spec.ipv6) if subnet]
            try:
                made = self._api.create_network(
                    spec.name,
                    driver="bridge",
                    internal=True,
                    enable_ipv6=spec.ipv6 is not None,
                    check_duplicate=True,
                    ipam=docker_types.IPAMConfig(pool_configs=pools),
                    options=_bridge_options(spec.bridge, str(self._versions()["Version"])),
                    labels=dict(spec.labels),
                )
            except docker_errors.APIError as error:
                if _overlaps(error):
                    raise SubnetInUse(f"{spec.ipv4} or {spec.ipv6} is in use") from error
                raise
        return str(made["Id"])

    def taken_subnets(self) -> list[IPv4Network | IPv6Network]:
        """Subnets of the engine's networks."""
        with _faults("list networks"):
            networks = self._api.networks()
        pools = [pool for network in networks for pool in (network.get("IPAM") or {}).get("Config") or []]
        return [ip_network(pool["Subnet"], strict=False) for pool in pools if pool.get("Subnet")]

    def remove_network(self, handle: str) -> None:
        """Remove a network, its guests taken off it; gone already is fine."""
        with _faults(f"remove network {handle[:12]}", gone_is_fine=True):
            remove_with_guests(self._api, handle)

    def guests(self, handle: str) -> tuple[str, ...]:
        """Names of the containers on a network that do not carry a lab's mark; none where the network is gone."""
        with _faults(f"list who is on network {handle[:12]}", gone_is_fine=True):
            return guests_on(self._api, handle)
        return ()

    def create_volume(self, name: str, labels: Mapping[str, str]) -> str:
        """Create a local volume."""
        with _faults(f"create volume {name}"):
            return str(self._api.create_volume(name, driver="local", labels=dict(labels))["Name"])

    def remove_volume(self, handle: str) -> None:
        """Remove a volume; gone already is fine."""
        with _faults(f"remove volume {handle}", gone_is_fine=True):
            self._api.remove_volume(handle, force=True)

    # -- containers ---------------------------------------------------------------------------------------------------------------

    def create(self, spec: ContainerSpec) -> str:
        """Create without starting; on API < 1.44 all networks but the first are connected one by one."""
        at_once = _numbers(self._api_version) >= _TWO_NETWORKS_AT_CREATE_API
        first, later = (spec.networks, ()) if at_once else (spec.networks[:1], spec.networks[1:])
        with _faults(f"create container {spec.name}", image=spec.image):
            made = self._api.create_container(
                spec.image,
                list(spec.command) if spec.command is not None else None,
                name=spec.name,
                environment=dict(spec.environment),
                labels=dict(spec.labels),
                stdin_open=spec.stdin,
                host_config=self._host_config(spec),
                networking_config=self._api.create_networking_config({at.network: self._endpoint_config(at) for at in first})
                if first
                else None,
            )
            for at in later:
                self._connect(str(made["Id"]), at)
        return str(made["Id"])

    def _host_config(self, spec: ContainerSpec) -> dict[str, Any]:
        memory = spec.memory_mb * 1024 * 1024
        log = docker_types.LogConfig(type="json-file", config={"max-size": "32m", "max-file": "2"})
        config: dict[str, Any] = self._api.create_host_config(
            network_mode=_network_mode(spec),
            cap_drop=["ALL"],
            cap_add=list(spec.capabilities),
            security_opt=["no-new-privileges"],
            mem_limit=memory,
            memswap_limit=memory,
            pids_limit=spec.pids,
            log_config=log,
            sysctls=dict(spec.sysctls),
            binds=[f"{name}:{path}:{'rw' if writable else 'ro'}" for name, (path, writable) in spec.volumes.items()],
            init=False,
        )
        return config

    def _endpoint_config(self, at: Attachment) -> dict[str, Any]:
        config: dict[str, Any] = self._api.create_endpoint_config(ipv4_address=at.ipv4 or None, ipv6_address=at.ipv6 or None)
        return config

    def _connect(self, handle: str, at: Attachment) -> None:
        try:
            self._api.connect_container_to_network(handle, at.network, ipv4_address=at.ipv4 or None, ipv6_address=at.ipv6 or None)
        except docker_errors.APIError:
            self.remove(handle)
            raise

    def put(self, handle: str, files: Mapping[str, FileContent]) -> None:
        """Place files; works on a container that has not started."""
        if not files:
            return
        with _faults(f"put files into container {handle[:12]}"):
            self._api.put_archive(handle, "/", pack(files))

    def attach(self, handle: str) -> Channel:
        """Attach to stdin and stdout."""
        query = urlencode({"stream": 1, "stdin": 1, "stdout": 1})
        return DockerChannel(handle[:12], self._hijack("POST", f"/containers/{quote(handle)}/attach?{query}"))

    def start(self, handle: str) -> None:
        """Start it."""
        with _faults(f"start container {handle[:12]}"):
            self._api.start(handle)

    def exec(self, handle: str, argv: tuple[str, ...], *, stdin: bytes | None = None, timeout: float = 10.0, user: str = "") -> ExecResult:
        """Run a command to its end. One that outlives its deadline is left running: it ends with the container."""
        name = f"{handle[:12]}: {' '.join(argv)[:80]}"
        deadline = time.monotonic() + timeout
        command, connection = self._exec(handle, argv, name, user, stdin=stdin is not None)
        try:
            stdout, stderr = finish(name, connection, stdin, timeout)
        finally:
            connection.close()
        while (code := self._exit_code(command)) is None:  # the engine learns of the exit a moment after the end of the output
            if time.monotonic() > deadline:
                raise RuntimeFault(f"{name}: closed its output but did not end within {timeout:g} s")
            time.sleep(0.01)
        return ExecResult(code, stdout, stderr)

    def stream(self, handle: str, argv: tuple[str, ...], *, user: str = "", stdin: bool = False) -> Stream:
        """Run a command and follow its stdout."""
        name = f"{handle[:12]}: {' '.join(argv)[:80]}"
        command, connection = self._exec(handle, argv, name, user, stdin=stdin)
        return DockerStream(name, connection, exit_code=lambda: self._exit_code(command))

    def _exec(self, handle: str, argv: tuple[str, ...], name: str, user: str, *, stdin: bool) -> tuple[str, Connection]:
        with _faults(f"run {name}"):
            command = str(self._api.exec_create(handle, list(argv), stdin=stdin, user=user)["Id"])
        return command, self._hijack("POST", f"/exec/{command}/start", {"Detach": False, "Tty": False})

    def _exit_code(self, command: str) -> int | None:
        with _faults("read a command's exit code"):
            found = self._api.exec_inspect(command)
        return None if found["Running"] or found["ExitCode"] is None else int(found["ExitCode"])

    def follow_logs(self, handle: str) -> Stream:
        """stdout and stderr of the main process, as one stream, until the container ends."""
        query = urlencode({"follow": 1, "stdout": 1, "stderr": 1})
        connection = self._hijack("GET", f"/containers/{quote(handle)}/logs?{query}")
        return DockerStream(f"log of {handle[:12]}", connection, wanted=frozenset({STDOUT, STDERR}))

    def _hijack(self, method: str, path: str, body: object = None) -> Connection:
        try:
            connection = self._endpoint.dial(_DIAL_SECONDS)
        except OSError as error:
            raise RuntimeFault(f"no container engine answers at {self._endpoint.url} ({error})", remedy="run `siplab doctor`") from error
        try:
            connection.settimeout(_REQUEST_SECONDS)
            connection.request(method, f"/v{self._api_version}{path}", body)
        except (Refused, OSError) as error:
            connection.close()
            raise RuntimeFault(f"the engine refused {method} {path.partition('?')[0]}: {_line(error)}") from error
        return connection

    def logs(self, handle: str, *, tail: int | None = None) -> bytes:
        """Log so far."""
        with _faults(f"read the log of {handle[:12]}"):
            return bytes(self._api.logs(handle, stdout=True, stderr=True, tail="all" if tail is None else tail))

    def fetch(self, handle: str, path: str) -> dict[str, bytes]:
        """Files below `path`."""
        with _faults(f"fetch {path} from container {handle[:12]}"):
            chunks, _ = self._api.get_archive(handle, path)
            return unpack(chunks)

    def state(self, handle: str) -> ContainerState:
        """Running, or how it ended."""
        with _faults(f"inspect container {handle[:12]}"):
            found = self._api.inspect_container(handle)
        state = found["State"]
        ended = state["Status"] in ("exited", "dead")
        return ContainerState(
            running=bool(state["Running"]),
            exit_code=int(state["ExitCode"]) if ended else None,
            oom_killed=bool(state["OOMKilled"]),
            started_at=str(state["StartedAt"]),
            finished_at=str(state["FinishedAt"]) if ended else "",
            memory_mb=found["HostConfig"]["Memory"] >> 20,
        )

    def usage(self, handle: str) -> Usage:
        """One sample, taken at once."""
        with _faults(f"usage of container {handle[:12]}"):
            sample = self._api.stats(handle, stream=False, one_shot=True)
        cpu = sample.get("cpu_stats", {}).get("cpu_usage", {}).get("total_usage", 0)
        return Usage(cpu / 1e9, sample.get("memory_stats", {}).get("usage", 0) / 2**20, sample.get("pids_stats", {}).get("current", 0))

    def kill(self, handle: str, signal: str = "SIGKILL") -> None:
        """Signal the main process."""
        with _faults(f"send {signal} to container {handle[:12]}"):
            self._api.kill(handle, signal)

    def remove(self, handle: str) -> None:
        """Kill and remove with anonymous volumes; gone already, or being removed by another, is fine."""
        with _faults(f"remove container {handle[:12]}", gone_is_fine=True):
            self._api.remove_container(handle, force=True, v=True)

    def find(self, labels: Mapping[str, str]) -> dict[str, list[str]]:
        """Handles of all objects with these labels."""
        found: dict[str, list[str]] = {"containers": [], "networks": [], "volumes": []}
        for item in self.inventory(labels):
            found[f"{item.kind}s"].append(item.handle)
        return found

    def inventory(self, labels: Mapping[str, str]) -> list[Found]:
        """All objects with these labels."""
        wanted = {"label": [f"{key}={value}" if value else key for key, value in labels.items()]}
        with _faults("list the lab's objects"):
            containers = self._api.containers(all=True, filters=wanted)
            networks = self._api.networks(filters=wanted)
            volumes = self._api.volumes(filters=wanted).get("Volumes") or []
        return [
            *(_found("container", item["Id"], (item.get("Names") or ["/"])[0].lstrip("/"), item) for item in containers),
            *(_found("network", item["Id"], item["Name"], item) for item in networks),
            *(_found("volume", item["Name"], item["Name"], item) for item in volumes),
        ]


def _network_mode(spec: ContainerSpec) -> str:
    if spec.host_network:
        return "host"
    if spec.network_of:
        return f"container:{spec.network_of}"
    return spec.networks[0].network if spec.networks else "none"


def _found(kind: Literal["container", "network", "volume"], handle: str, name: str, item: Mapping[str, Any]) -> Found:
    return Found(kind, handle, name, dict(item.get("Labels") or {}))


def _connect(address: EngineAddress, endpoint: Endpoint) -> tuple[Any, str]:
    """The SDK's client and the API version that the engine speaks; RuntimeFault with a remedy where none answers or it is too old."""
    try:
        endpoint.dial(_DIAL_SECONDS).close()  # fails with a shorter reason than the SDK would
        version = newest_api(address)
        made = client(address, version, timeout=_REQUEST_SECONDS, pool=_POOL)
    except PermissionError as error:
        raise no_rights(address.url) from error
    except (docker_errors.DockerException, requests.RequestException, OSError) as error:
        remedy = "run `siplab doctor --fix`" if address.is_local_socket else "start that engine, or unset DOCKER_HOST"
        remedy = "install paramiko for ssh engines" if "paramiko" in str(error) else remedy
        raise RuntimeFault(f"no container engine answers at {address.url} ({_line(error)})", remedy=remedy) from error
    if _numbers(version) < _MINIMUM_API:
        raise RuntimeFault(f"{address.url}: the engine speaks API {version}, siplab needs 1.41", remedy="install Docker 20.10 or newer")
    return made, version


@contextmanager
def _faults(doing: str, *, image: str = "", gone_is_fine: bool = False) -> Iterator[None]:
    """Turn the SDK's errors into one-line RuntimeFaults. `image`: a 404 means that image; `gone_is_fine`: a 404 is no error."""
    try:
        yield
    except docker_errors.ImageNotFound as error:
        raise ImageError(f"image {image} is not on the engine", remedy="run `siplab images build`") from error
    except docker_errors.NotFound as error:
        if not gone_is_fine:
            raise RuntimeFault(f"cannot {doing}: {_line(error)}") from error
    except docker_errors.APIError as error:
        if not (gone_is_fine and error.status_code == 409 and "already in progress" in _line(error)):
            raise RuntimeFault(f"cannot {doing}: {_line(error)}") from error
    except requests.Timeout as error:
        raise RuntimeFault(
            f"cannot {doing}: the engine did not answer within {_REQUEST_SECONDS} s", remedy="run `siplab doctor`"
        ) from error
    except (docker_errors.DockerException, requests.RequestException, OSError) as error:
        raise RuntimeFault(f"cannot {doing}: {_line(error)}", remedy="run `siplab doctor`") from error


def _line(error: Exception) -> str:
    """An error on one line, the engine's own words where it gave some."""
    text = error.explanation if isinstance(error, docker_errors.APIError) and error.explanation else error
    return " ".join(str(text).split())[:300]


def _overlaps(error: docker_errors.APIError) -> bool:
    text = _line(error).lower()
    return "overlap" in text or "conflicts with network" in text


def _bridge_options(bridge: str, engine: str) -> dict[str, str]:
    """Options that keep the host off the bridge: from engine 28 on it has a mode for that."""
    if _numbers(engine)[0] >= _ISOLATED_GATEWAY_ENGINE:
        return {f"{_BRIDGE}name": bridge, f"{_BRIDGE}gateway_mode_ipv4": "isolated", f"{_BRIDGE}gateway_mode_ipv6": "isolated"}
    return {f"{_BRIDGE}name": bridge, f"{_BRIDGE}inhibit_ipv4": "true"}


def _numbers(version: str) -> tuple[int, ...]:
    """Leading numbers of a version: `20.10.24+dfsg1` → (20, 10)."""
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit())

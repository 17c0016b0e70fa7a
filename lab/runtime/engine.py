"""Where is a container engine, and does it answer. Finding only: nothing here changes the machine (see `engine_start`).

The order is that of the docker command: DOCKER_HOST, then the chosen context, then the sockets of a system, a rootless and a desktop
engine. An engine that a person named (the first two) is the only candidate: siplab never goes on to another one.
"""

from __future__ import annotations

import http.client
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lab.errors import RuntimeFault
from lab.runtime.docker_endpoint import LOCAL, EngineAddress, engine_address

MINIMUM_API = "1.41"
_PING_SECONDS = 3.0

Reach = Literal["answers", "absent", "refused", "denied", "silent"]


@dataclass(frozen=True)
class Candidate:
    """An address an engine may answer on. `origin` says who named it."""

    address: EngineAddress
    origin: str

    @property
    def socket_path(self) -> str | None:
        """The Unix socket's path; None for a remote engine."""
        url = self.address.url
        return url.removeprefix("unix://") if url.startswith("unix://") else None

    @property
    def is_named(self) -> bool:
        """Did a person choose this engine (DOCKER_HOST or a context), so that no other may take its place."""
        return not self.origin.endswith("socket")


@dataclass(frozen=True)
class Contact:
    """What came of talking to a candidate. `detail` is the operating system's or the engine's own word on a failure."""

    candidate: Candidate
    reach: Reach
    detail: str = ""
    api_version: str = ""

    @property
    def answers(self) -> bool:
        """Is there an engine to work with."""
        return self.reach == "answers"

    @property
    def url(self) -> str:
        """The engine's address, as a person would write it into DOCKER_HOST."""
        return self.candidate.address.url


def candidates(environment: Mapping[str, str], home: Path, uid: int) -> list[Candidate]:
    """What to try, best first."""
    address = engine_address(environment)
    if address.url != LOCAL or environment.get("DOCKER_HOST"):
        return [Candidate(address, "DOCKER_HOST" if environment.get("DOCKER_HOST") else "the current docker context")]
    runtime_dir = environment.get("XDG_RUNTIME_DIR") or f"/run/user/{uid}"
    return [
        Candidate(address, "system socket"),
        Candidate(EngineAddress(f"unix://{runtime_dir}/docker.sock"), "rootless socket"),
        Candidate(EngineAddress(f"unix://{home}/.docker/run/docker.sock"), "desktop socket"),
        Candidate(EngineAddress(f"unix://{home}/.docker/desktop/docker.sock"), "desktop socket"),
    ]


def find_engine(environment: Mapping[str, str] | None = None) -> Contact:
    """The first candidate that answers; where none does, the contact that tells most (denied, then silent, then refused)."""
    contacts: list[Contact] = []
    for candidate in candidates(os.environ if environment is None else environment, Path.home(), os.getuid()):
        contact = reach(candidate)
        if contact.answers:
            return contact
        contacts.append(contact)
    order: list[Reach] = ["denied", "silent", "refused", "absent"]
    return min(contacts, key=lambda contact: order.index(contact.reach))


def require_engine() -> Contact:
    """An engine that answers and is new enough, or a RuntimeFault that says what to do."""
    contact = find_engine()
    if not contact.answers:
        raise no_engine(contact)
    if not api_is_enough(contact.api_version):
        raise RuntimeFault(
            f"the engine at {contact.url} speaks API {contact.api_version}, siplab needs {MINIMUM_API}",
            remedy="install Docker 20.10 or newer",
        )
    return contact


def api_is_enough(version: str) -> bool:
    """Is an API version such as `1.41` new enough for siplab."""
    try:
        return _numbers(version) >= _numbers(MINIMUM_API)
    except ValueError:
        return False


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def no_engine(contact: Contact) -> RuntimeFault:
    """The one message for an engine that cannot be used."""
    if contact.candidate.is_named:
        return RuntimeFault(
            f"the container engine at {contact.url} (from {contact.candidate.origin}) does not answer: {contact.detail}",
            remedy="start that engine, or unset DOCKER_HOST / run `docker context use default`",
        )
    if contact.reach == "denied":
        return RuntimeFault(
            f"no permission to use the container engine at {contact.url}",
            remedy="join the group that owns the socket (`sudo usermod -aG docker $USER`, then log in again) or run as root",
        )
    if contact.reach == "silent":
        return RuntimeFault(
            f"the container engine at {contact.url} does not answer: {contact.detail}", remedy="read its log and restart it"
        )
    return RuntimeFault("no container engine answers", remedy="start Docker, or run `siplab doctor --fix` as root on Debian or Ubuntu")


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket: enough for `_ping` without loading a client library."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def reach(candidate: Candidate, timeout: float = _PING_SECONDS) -> Contact:
    """Talk to a candidate once. Never raises for an engine that does not answer: that is a Contact too."""
    if candidate.socket_path is None:
        from lab.runtime.docker_images import ping  # a remote engine needs the SDK; a local one answers without that import

        return ping(candidate, timeout)
    try:
        status, api_version = _ping(candidate.socket_path, timeout)
    except (OSError, http.client.HTTPException) as error:
        return Contact(candidate, _failure(error), getattr(error, "strerror", None) or str(error) or type(error).__name__)
    if status != http.client.OK:
        return Contact(candidate, "silent", f"_ping answered {status}")
    return Contact(candidate, "answers", api_version=api_version)


def _ping(path: str, timeout: float) -> tuple[int, str]:
    connection = _UnixConnection(path, timeout)
    try:
        connection.request("GET", "/_ping")
        response = connection.getresponse()
        response.read()
        return response.status, response.getheader("Api-Version", "")
    finally:
        connection.close()


def _failure(error: Exception) -> Reach:
    match error:
        case FileNotFoundError():
            return "absent"
        case PermissionError():
            return "denied"
        case ConnectionRefusedError():
            return "refused"
        case _:
            return "silent"

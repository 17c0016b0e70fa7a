"""Does a container engine answer, and if not, why. Nothing here changes the machine (see `engine_start`).

Which engine is meant is `docker_endpoint`'s to say. One that a person named is never replaced by another.
"""

from __future__ import annotations

import http.client
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from lab.errors import RuntimeFault
from lab.runtime.docker_endpoint import LOCAL_SOCKET, EngineAddress, engine_address

MINIMUM_API = "1.41"
_PING_SECONDS = 3.0

Reach = Literal["answers", "absent", "refused", "denied", "silent"]


@dataclass(frozen=True)
class Contact:
    """What came of talking to an engine.

    `detail` is the operating system's or the engine's own word on a failure. `named`: a person chose this engine (DOCKER_HOST or a
    context), so that no other may take its place.
    """

    address: EngineAddress
    reach: Reach
    detail: str = ""
    api_version: str = ""
    named: bool = False

    @property
    def answers(self) -> bool:
        """Is there an engine to work with."""
        return self.reach == "answers"

    @property
    def url(self) -> str:
        """The engine's address, as a person would write it into DOCKER_HOST."""
        return self.address.url


def find_engine(environment: Mapping[str, str] | None = None) -> Contact:
    """Talk to the engine that this environment means."""
    env = os.environ if environment is None else environment
    address = engine_address(env)
    named = bool(env.get("DOCKER_HOST")) or address.url != f"unix://{LOCAL_SOCKET}"
    return reach(address, named=named)


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
    if contact.named:
        return RuntimeFault(
            f"the container engine at {contact.url} (from DOCKER_HOST or the docker context) does not answer: {contact.detail}",
            remedy="install paramiko beside siplab, which ssh engines need"
            if "paramiko" in contact.detail
            else "start that engine, or unset DOCKER_HOST / run `docker context use default`",
        )
    if contact.reach == "denied":
        return no_rights(contact.url)
    if contact.reach == "silent":
        return RuntimeFault(
            f"the container engine at {contact.url} does not answer: {contact.detail}", remedy="read its log and restart it"
        )
    return RuntimeFault("no container engine answers", remedy="start Docker, or run `siplab doctor --fix` as root on Debian or Ubuntu")


def no_rights(url: str) -> RuntimeFault:
    """The engine is there, and not for this user."""
    return RuntimeFault(
        f"no permission to use the container engine at {url}",
        remedy="join the group that owns the socket (`sudo usermod -aG docker $USER`, then log in again) or run as root",
    )


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket: enough for `_ping` without loading a client library."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def reach(address: EngineAddress, *, named: bool = False, timeout: float = _PING_SECONDS) -> Contact:
    """Talk to an engine once. Never raises for one that does not answer: that is a Contact too."""
    try:
        if address.url.startswith("unix://"):
            status, api_version = _ping(address.url.removeprefix("unix://"), timeout)
        else:
            from lab.runtime.docker_images import ping  # a remote engine needs the SDK; a local one answers without that import

            status, api_version = http.client.OK, ping(address, timeout)
    except (OSError, http.client.HTTPException) as error:
        return Contact(address, _failure(error), getattr(error, "strerror", None) or str(error) or type(error).__name__, named=named)
    if status != http.client.OK:
        return Contact(address, "silent", f"_ping answered {status}", named=named)
    return Contact(address, "answers", api_version=api_version, named=named)


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

"""The engine's image store through the docker SDK, and the one way siplab connects to an engine."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import docker
import docker.errors
import requests.exceptions
from docker.tls import TLSConfig

from lab.errors import ImageError, RuntimeFault
from lab.runtime.docker_endpoint import EngineAddress
from lab.runtime.image_engine import BuildFailed, BuildRequest, ImageInfo, RegistryUnreachable

_SILENCE_SECONDS = 900
"""The longest that one build step may say nothing (a package's compilation)."""
_PROBE_SECONDS = 10
_OLDEST_API = "1.41"
_PROXY_VARIABLES = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")


def client(address: EngineAddress, version: str, *, timeout: int = 60, pool: int = 25) -> Any:
    """The SDK's low-level client for an engine that speaks this version of the API; contexts, TLS and ssh included. `timeout` is per answer
    and in seconds, `pool` how many connections are kept."""
    tls: TLSConfig | bool = False
    if folder := address.certificates:
        pair = (str(folder / "cert.pem"), str(folder / "key.pem"))
        tls = TLSConfig(client_cert=pair, ca_cert=str(folder / "ca.pem") if address.verify else None, verify=address.verify)
    ssh = address.url.startswith("ssh://")
    made = docker.APIClient(base_url=address.url, version=version, tls=tls, timeout=timeout, max_pool_size=pool, use_ssh_client=ssh)
    made.trust_env = False  # REQUESTS_CA_BUNDLE would replace the engine's CA, and a proxy is not for the engine
    return made


def newest_api(address: EngineAddress, timeout: int = 60) -> str:
    """The newest version of the API that an engine speaks."""
    asking = client(address, _OLDEST_API, timeout=timeout, pool=1)
    try:
        return str(asking.version(api_version=False)["ApiVersion"])
    except (KeyError, TypeError) as error:
        raise docker.errors.DockerException(f"no ApiVersion in its answer: {error}") from error
    finally:
        asking.close()


def connect(address: EngineAddress, timeout: int = 60) -> Any:
    """A client that speaks what the engine speaks."""
    return client(address, newest_api(address, timeout), timeout=timeout)


def ping(address: EngineAddress, timeout: float) -> str:
    """The API version of an engine that is not behind a Unix socket; ConnectionError where none answers."""
    try:
        if not address.url.startswith("ssh://"):
            address.endpoint().dial(timeout).close()  # fails with a shorter reason than the SDK would
        api = connect(address, max(1, round(timeout)))
        try:
            return str(api.version()["ApiVersion"])
        finally:
            api.close()
    except (docker.errors.DockerException, requests.exceptions.RequestException, OSError, ValueError, RuntimeFault) as error:
        raise ConnectionError(_reason(error)) from error


@contextmanager
def _engine_faults(doing: str) -> Iterator[None]:
    try:
        yield
    except (docker.errors.DockerException, requests.exceptions.RequestException) as error:
        raise RuntimeFault(f"{doing}: {_reason(error)}", remedy="run `siplab doctor`") from error


def _reason(error: Exception) -> str:
    explanation = getattr(error, "explanation", None)
    return " ".join(str(explanation or error or type(error).__name__).split())


class DockerImages:
    """`ImageEngine` on a Docker engine (API ≥ 1.41), by the classic builder, which every engine has."""

    def __init__(self, address: EngineAddress) -> None:
        self._address = address
        with _engine_faults(f"connecting to {address.url}"):
            self._api = connect(address)

    def close(self) -> None:
        """Drop the connections."""
        self._api.close()

    def info(self) -> dict[str, Any]:
        """The engine's own description of itself (`docker info`)."""
        with _engine_faults("asking the engine about itself"):
            return dict(self._api.info())

    def networks(self) -> list[dict[str, Any]]:
        """All of the engine's networks, as the API tells them."""
        with _engine_faults("listing networks"):
            return list(self._api.networks())

    def run_probe(self, image: str, command: tuple[str, ...]) -> bool:
        """Run a command in a container of its own, with NET_ADMIN in a network of its own, and tell whether it succeeded."""
        limits = {"network_mode": "none", "cap_drop": ["ALL"], "cap_add": ["NET_ADMIN"], "security_opt": ["no-new-privileges"]}
        with _engine_faults("asking the kernel through a container"):
            config = self._api.create_host_config(**limits, mem_limit="64m", pids_limit=32)
            made = self._api.create_container(image, list(command), host_config=config, labels={"siplab.probe": "1"})
            try:
                self._api.start(made)
                return bool(self._api.wait(made, timeout=_PROBE_SECONDS)["StatusCode"] == 0)
            finally:
                self._api.remove_container(made, force=True)

    def images(self) -> list[ImageInfo]:
        """See ImageEngine."""
        with _engine_faults("listing images"):
            rows = self._api.images()
        return [
            ImageInfo(row["Id"], tuple(row["RepoTags"]), row["Size"], row["Created"], row.get("Labels") or {})
            for row in rows
            if row.get("RepoTags")
        ]

    def find(self, reference: str) -> str | None:
        """The digest of an image by tag, digest or id; None where the engine does not have it."""
        try:
            with _engine_faults(f"looking for image {reference}"):
                try:
                    return str(self._api.inspect_image(reference)["Id"])
                except docker.errors.ImageNotFound:
                    return None
        except docker.errors.NullResource:
            return None

    def pull(self, reference: str, deadline: float) -> None:
        """See ImageEngine. The manifest is asked for first: that answers quickly where no registry can be reached."""
        try:
            probe = connect(self._address, max(1, round(deadline)))
            try:
                probe.inspect_distribution(reference)
            finally:
                probe.close()
            for message in self._api.pull(reference, stream=True, decode=True):
                if "error" in message:
                    raise RegistryUnreachable(str(message["error"]))
        except (docker.errors.DockerException, requests.exceptions.RequestException) as error:
            raise RegistryUnreachable(_reason(error)) from error

    def import_archive(self, archive: Path, reference: str, labels: Mapping[str, str]) -> None:
        """See ImageEngine."""
        changes = ['CMD ["bash"]', *(f'LABEL "{key}"="{value}"' for key, value in labels.items())]
        name, _, tag = reference.rpartition(":")
        params = {"fromSrc": "-", "repo": name, "tag": tag, "changes": changes}
        with _engine_faults(f"importing {reference}"), archive.open("rb") as data:
            url = self._api._url("/images/create")
            headers = {"Content-Type": "application/x-tar"}
            self._api._result(self._api._post(url, data=data, params=params, headers=headers, timeout=_SILENCE_SECONDS))

    def build(self, request: BuildRequest, on_line: Callable[[str], None]) -> None:
        """See ImageEngine."""
        proxies = {name: os.environ[name] for name in _PROXY_VARIABLES if name in os.environ}
        try:
            stream = self._api.build(
                fileobj=BytesIO(request.context),
                custom_context=True,
                tag=request.tag,
                buildargs={**proxies, **request.args},
                labels=dict(request.labels),
                network_mode="host" if request.host_network else None,
                rm=True,
                forcerm=True,
                decode=True,
                timeout=_SILENCE_SECONDS,
            )
            _follow(stream, on_line)
        except (docker.errors.DockerException, requests.exceptions.RequestException) as error:
            raise BuildFailed(_reason(error)) from error

    def tag(self, reference: str, new: str) -> None:
        """See ImageEngine."""
        name, _, tag = new.rpartition(":")
        try:
            self._api.tag(reference, name, tag)
        except (docker.errors.DockerException, requests.exceptions.RequestException) as error:
            raise ImageError(f"tagging {reference} as {new}: {_reason(error)}", remedy="run `siplab doctor`") from error


def _follow(stream: Iterator[dict[str, Any]], on_line: Callable[[str], None]) -> None:
    """Hand on the builder's output line by line: it comes in pieces that are not lines."""
    pending = ""
    for message in stream:
        pending += str(message.get("stream", ""))
        *lines, pending = pending.split("\n")
        for line in lines:
            on_line(line)
        if "error" in message:
            if pending:
                on_line(pending)
            raise BuildFailed(" ".join(str(message["error"]).split()))
    if pending:
        on_line(pending)

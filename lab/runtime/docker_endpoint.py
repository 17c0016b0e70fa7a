"""Which engine to talk to: DOCKER_HOST and its TLS variables, else the current `docker context`, else a local socket."""

from __future__ import annotations

import json
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

from lab.errors import RuntimeFault
from lab.runtime.docker_wire import Endpoint

_NEAR = ("unix://", "http+unix://")
_FAR = ("tcp", "http", "https", "ssh")
LOCAL_SOCKET = "/var/run/docker.sock"


@dataclass(frozen=True)
class EngineAddress:
    """Where the engine is and the folder of `ca.pem`, `cert.pem`, `key.pem` where it speaks TLS."""

    url: str
    certificates: Path | None = None
    verify: bool = True

    @property
    def is_local_socket(self) -> bool:
        """A Unix socket: the engine's files and routes may be this machine's own."""
        return self.url.startswith("unix://")

    def endpoint(self) -> Endpoint:
        """The same for streams; RuntimeFault where a certificate cannot be read."""
        return Endpoint(self.url, self._context() if self.certificates else None)

    def _context(self) -> ssl.SSLContext:
        folder = self.certificates or Path()
        try:
            context = ssl.create_default_context(cafile=str(folder / "ca.pem")) if self.verify else ssl.create_default_context()
            if not self.verify:
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
            context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
        except OSError as error:
            raise RuntimeFault(f"cannot use the engine's certificates in {folder}: {error}", remedy="check DOCKER_CERT_PATH") from error
        return context


def engine_address(environment: Mapping[str, str] | None = None) -> EngineAddress:
    """What the docker command line would use."""
    env = os.environ if environment is None else environment
    configuration = Path(env.get("DOCKER_CONFIG") or Path.home() / ".docker")
    if host := env.get("DOCKER_HOST"):
        verify = bool(env.get("DOCKER_TLS_VERIFY"))
        folder = env.get("DOCKER_CERT_PATH") or (configuration if verify else None)
        return EngineAddress(_checked(host, "DOCKER_HOST"), Path(folder) if folder else None, verify)
    name = env.get("DOCKER_CONTEXT") or _current_context(configuration)
    return EngineAddress(_local_socket(env)) if name in ("", "default") else _context_address(configuration, name)


def _checked(url: str, source: str) -> str:
    """An address that can be dialled; RuntimeFault where this is none."""
    try:
        parts = urlsplit(url)
        far = parts.scheme in _FAR and bool(parts.hostname) and parts.port != 0
    except ValueError:  # no number or too large a one for a port, half a bracket
        far = False
    near = url.startswith(_NEAR) and len(url.partition("://")[2].strip("/")) > 0
    if not (far or near) or any(char.isspace() or not char.isprintable() for char in url):
        remedy = "write unix:///PATH, tcp://HOST:PORT or ssh://USER@HOST, or unset it"
        raise RuntimeFault(f'{source}="{url}" is no address of a container engine', remedy=remedy)
    return url


def _local_socket(env: Mapping[str, str]) -> str:
    """The system's socket, or where this process may not use that one: a rootless engine's or a desktop's."""
    runtime_dir = env.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
    home = Path.home() / ".docker"
    sockets = (LOCAL_SOCKET, f"{runtime_dir}/docker.sock", f"{home}/run/docker.sock", f"{home}/desktop/docker.sock")
    return "unix://" + next((path for path in sockets if os.access(path, os.R_OK | os.W_OK)), LOCAL_SOCKET)


def _current_context(configuration: Path) -> str:
    try:
        return str(json.loads((configuration / "config.json").read_text()).get("currentContext", ""))
    except FileNotFoundError:
        return ""
    except (OSError, ValueError) as error:
        raise RuntimeFault(f"{configuration / 'config.json'}: {error}", remedy="repair it or set DOCKER_HOST") from error


def _context_address(configuration: Path, name: str) -> EngineAddress:
    folder = sha256(name.encode()).hexdigest()
    meta = configuration / "contexts" / "meta" / folder / "meta.json"
    try:
        endpoint = json.loads(meta.read_text())["Endpoints"]["docker"]
        url, verify = _checked(str(endpoint["Host"]), f"docker context {name}"), not endpoint.get("SkipTLSVerify", False)
    except (OSError, ValueError, KeyError) as error:
        raise RuntimeFault(
            f"docker context {name!r} cannot be read ({error})", remedy="see `docker context ls` or set DOCKER_HOST"
        ) from error
    certificates = configuration / "contexts" / "tls" / folder / "docker"
    return EngineAddress(url, certificates if certificates.is_dir() else None, verify)

"""Raw streams of the Docker Engine API: dialling, hijacking, the 8-byte frames.

The SDK hands out sockets from which urllib3's reader may already have taken bytes (a quick command's output is then lost), and its
half-close breaks on TLS. So every stream gets a connection of its own, opened and spoken here; ordinary requests stay with the SDK.
"""

from __future__ import annotations

import json
import socket
import ssl
import struct
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

from lab.runtime.docker_tls import tunnel

STDOUT = 1
STDERR = 2
_HEAD_LIMIT = 65536
_CHUNK = 65536


class Refused(Exception):
    """The engine answered a stream request with an error status."""

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        super().__init__(message)


@dataclass(frozen=True)
class Endpoint:
    """Where an engine listens: `unix:///path`, `tcp://host:port` (with `tls` where it is encrypted) or `ssh://user@host`."""

    url: str
    tls: ssl.SSLContext | None = None

    def dial(self, timeout: float) -> Connection:
        """Open a connection; OSError where nothing listens."""
        parts = urlsplit(self.url)
        if parts.scheme in ("unix", "http+unix"):
            return Connection(_dial_unix(parts.netloc + parts.path, timeout))
        if parts.scheme == "ssh":
            return _dial_ssh(parts.username, parts.hostname or "", parts.port)
        host, port = parts.hostname or "", parts.port or (2376 if self.tls else 2375)
        sock = socket.create_connection((host, port), timeout)
        return Connection(tunnel(sock, self.tls, server_hostname=host) if self.tls else sock)


def _dial_unix(path: str, timeout: float) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(timeout)
    try:
        sock.connect(path if path.startswith("/") else f"/{path}")
    except OSError:
        sock.close()
        raise
    return sock


def _dial_ssh(user: str | None, host: str, port: int | None) -> Connection:
    """`docker system dial-stdio` at the far end joins our end of a socket pair to the engine's socket, half-close included."""
    ours, theirs = socket.socketpair()
    where = [*(("-l", user) if user else ()), *(("-p", str(port)) if port else ()), "--", host]
    with theirs:
        process = subprocess.Popen(
            ["ssh", "-T", *where, "docker", "system", "dial-stdio"], stdin=theirs.fileno(), stdout=theirs.fileno(), start_new_session=True
        )
    return Connection(ours, process)


class Connection:
    """A byte stream to the engine, half-closable whatever carries it."""

    def __init__(self, sock: socket.socket, process: subprocess.Popen[bytes] | None = None) -> None:
        self._sock = sock
        self._process = process
        self._pending = b""

    def settimeout(self, seconds: float | None) -> None:
        """Bound every following send and receive; None waits for ever."""
        self._sock.settimeout(seconds)

    def bound_sends(self, seconds: int) -> None:
        """Bound sends alone, in the kernel, so that one thread may wait for ever in `recv` while others send."""
        self._sock.settimeout(None)
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", seconds, 0))

    def send(self, data: bytes) -> None:
        """Write everything; OSError where the far end is gone."""
        self._sock.sendall(data)

    def recv(self) -> bytes:
        """The next bytes, empty at the end."""
        if self._pending:
            data, self._pending = self._pending, b""
            return data
        return self._sock.recv(_CHUNK)

    def fileno(self) -> int:
        """For `select`, once `pending` has been taken."""
        return self._sock.fileno()

    def pending(self) -> bytes:
        """What came together with the answer's head."""
        data, self._pending = self._pending, b""
        return data

    def half_close(self) -> None:
        """Tell the far end that no more is coming."""
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """End both directions; wakes a thread that waits in `recv`."""
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def request(self, method: str, target: str, body: object = None) -> None:
        """Send a request and read the answer's head; what follows in `recv` is the raw stream. Raises Refused from status 400 on.

        A POST asks for an upgrade. A GET speaks HTTP/1.0, so that the engine does not chunk what it streams.
        """
        payload = b"" if body is None else json.dumps(body).encode()
        head = [f"{method} {target} HTTP/{'1.0' if method == 'GET' else '1.1'}", "Host: docker", f"Content-Length: {len(payload)}"]
        if method != "GET":
            head += ["Content-Type: application/json", "Connection: Upgrade", "Upgrade: tcp"]
        self.send("\r\n".join([*head, "", ""]).encode() + payload)
        status, length = self._read_head()
        if status >= 400:
            raise Refused(status, _message(self._read_body(length)))

    def _read_head(self) -> tuple[int, int | None]:
        data = b""
        while b"\r\n\r\n" not in data:
            more = self._sock.recv(4096)
            if not more or len(data) > _HEAD_LIMIT:
                raise ConnectionError("the engine closed the connection before it answered")
            data += more
        head, _, self._pending = data.partition(b"\r\n\r\n")
        status, *fields = head.decode("latin-1").split("\r\n")
        lengths = [field.split(":", 1)[1] for field in fields if field.lower().startswith("content-length:")]
        return int(status.split()[1]), int(lengths[0]) if lengths else None

    def _read_body(self, length: int | None) -> bytes:
        body = b""
        while (length is None or len(body) < length) and (more := self.recv()):
            body += more
        return body


def _message(body: bytes) -> str:
    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        return body.decode(errors="replace").strip() or "no reason given"


class Demultiplexer:
    """Takes a raw stream apart: frames of one byte stream number, three zero bytes, four bytes length (big endian), payload."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """(stream number, payload) of every frame that `data` completes."""
        self._buffer += data
        while len(self._buffer) >= 8:
            kind, size = struct.unpack_from(">BxxxL", self._buffer)
            if len(self._buffer) < 8 + size:
                return
            payload = bytes(self._buffer[8 : 8 + size])
            del self._buffer[: 8 + size]
            yield kind, payload

    @property
    def cut_off(self) -> bool:
        """True where the stream ended inside a frame."""
        return bool(self._buffer)


class Lines:
    """Cuts a byte stream into lines. One that does not end within `longest` bytes is cut there, so that nobody can fill our memory."""

    def __init__(self, longest: int = 1 << 20) -> None:
        self._longest = longest
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Every line that `data` completes, without its newline."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            yield line.removesuffix(b"\r")
        while len(self._rest) >= self._longest:
            part, self._rest = self._rest[: self._longest], self._rest[self._longest :]
            yield part

    def rest(self) -> bytes:
        """What came after the last newline."""
        return self._rest

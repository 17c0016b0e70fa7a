"""Channel, Stream and finished commands over a hijacked connection."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

from lab.errors import RuntimeFault
from lab.runtime.base import ExecResult
from lab.runtime.docker_wire import STDERR, STDOUT, Connection, Demultiplexer, Lines

_SEND_SECONDS = 10
_STDERR_KEPT = 65536


class _Reader:
    """A connection that is read until its end or until somebody closes it, by one thread, while others may write."""

    def __init__(self, name: str, connection: Connection) -> None:
        self._name = name
        self._connection = connection
        self._closed = False
        self._ended = False
        self._lock = threading.Lock()
        connection.bound_sends(_SEND_SECONDS)

    def send(self, line: bytes) -> None:
        """Write one line to stdin; RuntimeFault where its reader is gone or reads nothing for ten seconds."""
        try:
            if self._ended:  # the engine may still take bytes for a process that is gone
                raise BrokenPipeError("its process has ended")
            with self._lock:
                self._connection.send(line + b"\n")
        except OSError as error:
            raise RuntimeFault(f"{self._name}: cannot write to stdin: {error or 'it is closed'}", remedy="see the element's log") from error

    def _receive(self) -> bytes:
        try:
            return b"" if self._closed else self._connection.recv()
        except OSError as error:
            if self._closed:
                return b""
            raise RuntimeFault(f"{self._name}: connection to the engine lost: {error}") from error


class DockerChannel(_Reader):
    """stdin and stdout of a container's main process, for an agent."""

    def lines(self) -> Iterator[bytes]:
        """Lines of stdout until EOF."""
        frames, lines = Demultiplexer(), Lines()
        while data := self._receive():
            for kind, payload in frames.feed(data):
                if kind == STDOUT:
                    yield from lines.feed(payload)
        self._ended = True
        if lines.rest() and not self._closed:
            yield lines.rest()

    def close(self) -> None:
        """Half-close stdin (the agent reads EOF), then stop reading."""
        if not self._closed:
            self._closed = True
            self._connection.half_close()
            self._connection.close()


class DockerStream(_Reader):
    """Output of a running command, or of a container's log: the streams in `wanted` as chunks, stderr's tail beside."""

    def __init__(
        self,
        name: str,
        connection: Connection,
        *,
        wanted: frozenset[int] = frozenset({STDOUT}),
        exit_code: Callable[[], int | None] | None = None,
    ) -> None:
        super().__init__(name, connection)
        self._wanted = wanted
        self._exit_code = exit_code
        self._stderr = b""

    def chunks(self) -> Iterator[bytes]:
        """Payload as it comes, until the end or `close`. RuntimeFault where the stream breaks off inside a frame."""
        frames = Demultiplexer()
        while data := self._receive():
            for kind, payload in frames.feed(data):
                if kind in self._wanted:
                    yield payload
                elif kind == STDERR:
                    self._stderr = (self._stderr + payload)[-_STDERR_KEPT:]
        self._ended = True
        if frames.cut_off and not self._closed:
            raise RuntimeFault(f"{self._name}: output broke off inside a frame", remedy="is the engine still running?")
        self.close()

    def close(self) -> None:
        """Stop reading; wakes the reader."""
        if not self._closed:
            self._closed = True
            self._connection.close()

    def outcome(self) -> ExecResult | None:
        """Exit code and tail of stderr once the command ended."""
        code = self._exit_code() if self._exit_code else None
        return None if code is None else ExecResult(code, b"", self._stderr)


def finish(name: str, connection: Connection, stdin: bytes | None, timeout: float) -> tuple[bytes, bytes]:
    """Feed `stdin`, read everything until the end: (stdout, stderr). RuntimeFault after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    connection.settimeout(timeout)
    if stdin is not None:
        threading.Thread(target=_feed, args=(connection, stdin), daemon=True, name=f"stdin {name}").start()
    frames, out = Demultiplexer(), {STDOUT: bytearray(), STDERR: bytearray()}
    try:
        while data := _receive_or_reset(connection, stdin):
            for kind, payload in frames.feed(data):
                out[STDERR if kind == STDERR else STDOUT].extend(payload)
            connection.settimeout(max(deadline - time.monotonic(), 0.001))
    except TimeoutError as error:
        said = bytes(out[STDERR] or out[STDOUT])[-200:].decode(errors="replace").strip()
        raise RuntimeFault(f"{name}: no end within {timeout:g} s" + (f" (last output: {said!r})" if said else "")) from error
    except OSError as error:
        raise RuntimeFault(f"{name}: connection to the engine lost: {error}") from error
    if frames.cut_off:
        raise RuntimeFault(f"{name}: output broke off inside a frame", remedy="is the engine still running?")
    return bytes(out[STDOUT]), bytes(out[STDERR])


def _receive_or_reset(connection: Connection, stdin: bytes | None) -> bytes:
    """A command that ends without reading all its stdin makes the engine reset the connection after the output."""
    try:
        return connection.recv()
    except ConnectionResetError:
        if stdin is None:
            raise
        return b""


def _feed(connection: Connection, stdin: bytes) -> None:
    """A command may end without reading its stdin: that is no error, its exit code tells."""
    try:
        connection.send(stdin)
    except OSError:
        return
    connection.half_close()

"""Client of baresip's ctrl_tcp module: JSON in netstrings on a TCP connection to 127.0.0.1."""

from __future__ import annotations

import contextlib
import itertools
import json
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from siplab_agent import Dead, Refused, log

MAX_COMMAND = 1023
"""ctrl_tcp copies command and parameters into a buffer of 1024 bytes and cuts the rest off without a word."""


class Control:
    """One connection (a second client would close the first). Events are handed to `on_event` in the reader's thread."""

    def __init__(self, port: int, on_event: Callable[[dict[str, Any]], None], timeout: float = 15.0) -> None:
        self._socket = _connect(port, timeout)
        self._on_event = on_event
        self._tokens = itertools.count(1)
        self._answers: dict[str, dict[str, Any]] = {}
        self._changed = threading.Condition()
        self._gone = False
        self._reader = threading.Thread(target=self._read, name="ctrl_tcp", daemon=True)
        self._reader.start()

    def command(self, name: str, params: str = "", *, timeout: float = 3.0, check: bool = True) -> str:
        """Run a command and return its output. Refused with baresip's own words where it answers `ok: false`."""
        if len(f"{name} {params}".encode()) > MAX_COMMAND:
            raise Refused(f"{name}: longer than the {MAX_COMMAND} bytes that baresip's ctrl_tcp takes")
        token = f"t{next(self._tokens)}"
        request = {"command": name, "token": token, **({"params": params} if params else {})}
        data = json.dumps(request, ensure_ascii=False).encode()
        try:
            self._socket.sendall(b"%d:%s," % (len(data), data))
        except OSError as error:
            raise Dead(f"{name}: control connection lost: {error}") from error
        with self._changed:
            self._changed.wait_for(lambda: token in self._answers or self._gone, timeout)
            answer = self._answers.pop(token, None)
        if answer is None:
            raise Dead(f"{name}: baresip is gone") if self._gone else Refused(f"{name}: no answer within {timeout} s")
        text = str(answer.get("data", ""))
        if check and not answer.get("ok"):
            raise Refused(f"{name}: {' '.join(text.split()) or 'refused'}")
        return text

    def close(self) -> None:
        """End the connection; afterwards nothing of it is told any more. Idempotent. To close a socket does not wake who waits for it."""
        self._gone = True
        with contextlib.suppress(OSError):  # baresip went first
            self._socket.shutdown(socket.SHUT_RDWR)
        self._reader.join(1.0)
        self._socket.close()

    def _read(self) -> None:
        """Frames until the end. baresip leaves Nagle's algorithm on: acknowledging at once saves 40 ms per answer."""
        rest = b""
        while True:
            try:
                data = self._socket.recv(65536)
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
            except OSError:
                data = b""
            if not data:
                break
            rest = self._frames(rest + data)
        with self._changed:
            self._gone = True
            self._changed.notify_all()

    def _frames(self, data: bytes) -> bytes:
        while (colon := data.find(b":")) > 0:
            size = int(data[:colon])
            end = colon + 1 + size
            if len(data) <= end:
                break
            self._dispatch(data[colon + 1 : end])
            data = data[end + 1 :]
        return data

    def _dispatch(self, frame: bytes) -> None:
        try:
            message = json.loads(frame.decode("utf-8", "replace"), strict=False)
        except ValueError:
            log(f"ctrl_tcp: not JSON: {frame[:200]!r}")
            return
        if not message.get("response"):
            self._on_event(message)
            return
        with self._changed:
            self._answers[str(message.get("token"))] = message
            self._changed.notify_all()


def _connect(port: int, timeout: float) -> socket.socket:
    deadline = time.monotonic() + timeout
    while True:
        try:
            connection = socket.create_connection(("127.0.0.1", port), 1.0)
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)  # nothing tells when it listens
            continue
        connection.settimeout(None)
        return connection

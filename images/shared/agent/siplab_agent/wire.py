"""The protocol's two file descriptors: requests in, answers and events out.

Vendor libraries print. So the real stdin and stdout are moved away before anything else runs, descriptor 1 becomes another
stderr and descriptor 0 becomes /dev/null: whatever C or Python code prints lands in the log and cannot break the protocol.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

from .contract import MAX_LINE


def log(message: str) -> None:
    """One line to stderr, the element's log."""
    line = f"{time.strftime('%H:%M:%S', time.gmtime())} agent: {message}\n"
    os.write(2, line.encode("utf-8", "replace"))


class Wire:
    """Framing. Writing is safe from every thread; reading is for one thread."""

    def __init__(self, read_fd: int, write_fd: int) -> None:
        self._in = read_fd
        self._out = write_fd
        self._lock = threading.RLock()
        self._held: list[bytes] | None = None

    @classmethod
    def claim(cls) -> Wire:
        """Take over the process's stdin and stdout."""
        sys.stdout.flush()
        read_fd, write_fd = os.dup(0), os.dup(1)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.close(null)
        os.dup2(2, 1)
        return cls(read_fd, write_fd)

    def lines(self) -> Iterator[bytes]:
        """Lines without the newline; b"" stands for one that was too long. Ends at EOF."""
        with os.fdopen(self._in, "rb", closefd=False) as stream:
            while True:
                line = stream.readline(MAX_LINE + 1)
                if not line:
                    return
                if not line.endswith(b"\n") and len(line) > MAX_LINE:
                    while line and not line.endswith(b"\n"):
                        line = stream.readline(MAX_LINE)
                    yield b""
                    continue
                yield line.rstrip(b"\r\n")

    def hold(self) -> None:
        """Keep events back until `answer`: an id must not be used before the answer that names it."""
        with self._lock:
            self._held = []

    def answer(self, message: Mapping[str, Any], *, release: bool = False) -> None:
        """Write an answer, then, with `release`, what was held back."""
        with self._lock:
            held: list[bytes] = []
            if release:
                held, self._held = self._held or [], None
            self._write(_encode(message))
            for line in held:
                self._write(line)

    def event(self, message: Mapping[str, Any]) -> None:
        """Write an event, or hold it back."""
        line = _encode(message)
        with self._lock:
            if self._held is not None:
                self._held.append(line)
            else:
                self._write(line)

    def _write(self, line: bytes) -> None:
        try:
            while line:
                line = line[os.write(self._out, line) :]
        except OSError as error:
            log(f"the lab is gone, cannot write: {error}")


def _encode(message: Mapping[str, Any]) -> bytes:
    line = json.dumps(message, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode("utf-8", "replace") + b"\n"
    if len(line) <= MAX_LINE:
        return line
    short = {key: value for key, value in message.items() if not isinstance(value, str) or len(value) < 200}
    log(f"message of {len(line)} bytes shortened to fit a line")
    return json.dumps({**short, "truncated": True}, separators=(",", ":")).encode() + b"\n"

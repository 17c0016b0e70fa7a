"""JSON lines over a Unix socket, one object each way at a time.

A socket's path may have 107 bytes only, and results can be anywhere: it is named through a descriptor of its folder, which Linux resolves.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lab.errors import RuntimeFault

SOCKET = "socket"
"""The socket's name in a lab's folder."""
MAX_LINE = 16 * 1024 * 1024
"""Bytes of one line: a ladder of a long call is the largest thing that is told."""


class Talk:
    """One connection."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._file = sock.makefile("rb")

    def say(self, **members: Any) -> None:
        """Send one object; OSError where nobody listens any more."""
        self._sock.sendall(json.dumps(members, default=str).encode() + b"\n")

    def hear(self) -> dict[str, Any] | None:
        """The next object, or None at the end. RuntimeFault where what comes is none."""
        line = self._file.readline(MAX_LINE)
        if not line:
            return None
        try:
            heard = json.loads(line)
        except (ValueError, RecursionError):
            heard = None
        if not isinstance(heard, dict):
            raise RuntimeFault(f"a line on the lab's socket is no JSON object: {line[:80]!r}", remedy="is it the same version of siplab?")
        return heard

    def close(self) -> None:
        """End it."""
        self._file.close()
        self._sock.close()


@contextmanager
def _short(folder: Path) -> Iterator[str]:
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}/{SOCKET}"
    finally:
        os.close(descriptor)


def listen(folder: Path) -> socket.socket:
    """A socket in `folder` that nobody but this user may use."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with _short(folder) as path:
        before = os.umask(0o177)
        try:
            sock.bind(path)
        finally:
            os.umask(before)
    sock.listen(16)
    return sock


def dial(folder: Path) -> Talk:
    """Talk to the owner of the lab in `folder`; OSError where there is none."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _short(folder) as path:
            sock.connect(path)
    except OSError:
        sock.close()
        raise
    return Talk(sock)

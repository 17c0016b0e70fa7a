"""A command in a container with this process's terminal as its own: what `docker exec -it` does, on any engine that labs run on."""

from __future__ import annotations

import os
import select
import shutil
import signal
import sys
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from lab.errors import RuntimeFault
from lab.runtime.docker import DockerRuntime
from lab.runtime.docker_wire import Connection

_CHUNK = 65536


class TerminalRuntime(DockerRuntime):
    """The engine for people at a terminal."""

    def interactive(self, handle: str, argv: tuple[str, ...]) -> int:
        """Run a command with stdin and stdout of this process, which have to be a terminal, until it ends; its exit code."""
        command = str(
            self._api.exec_create(handle, list(argv), stdin=True, tty=True, environment={"TERM": os.environ.get("TERM", "xterm")})["Id"]
        )
        connection = self._hijack("POST", f"/exec/{command}/start", {"Detach": False, "Tty": True})

        def resize(*_: int | FrameType | None) -> None:
            columns, lines = shutil.get_terminal_size()
            with suppress(Exception):  # it may have ended meanwhile, and a wrong width harms nobody
                self._api.exec_resize(command, height=lines, width=columns)

        resize()
        before = signal.signal(signal.SIGWINCH, resize)
        try:
            with _raw(sys.stdin.fileno()):
                _join(connection, sys.stdin.fileno(), sys.stdout.fileno())
        finally:
            signal.signal(signal.SIGWINCH, before)
            connection.close()
        return self._exit_code(command) or 0


@contextmanager
def _raw(terminal: int) -> Iterator[None]:
    """Every key goes to the other side, Ctrl-C too."""
    before = termios.tcgetattr(terminal)
    tty.setraw(terminal)
    try:
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


def _join(connection: Connection, source: int, target: int) -> None:
    """Bytes both ways until the far end closes."""
    connection.settimeout(None)
    far = connection.fileno()
    waiting = [far, source]
    while True:
        if data := connection.pending():
            os.write(target, data)
        ready, _, _ = select.select(waiting, [], [])
        if far in ready:
            try:
                data = connection.recv()
            except OSError as error:
                raise RuntimeFault(f"connection to the engine lost: {error}") from error
            if not data:
                return
            os.write(target, data)
        if source in ready:
            if typed := os.read(source, _CHUNK):
                connection.send(typed)
            else:
                connection.half_close()
                waiting = [far]

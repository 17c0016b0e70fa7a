"""What commands of the fake engine say and are told."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress

from lab.errors import RuntimeFault
from lab.runtime.base import ExecResult


class Exit(Exception):
    """Raised by a scripted main process to end with a code: `Exit(139)` is a segmentation fault."""

    def __init__(self, code: int) -> None:
        self.code = code
        super().__init__(code)


class Told:
    """Lines on the stdin of a command, and what it says then."""

    def __init__(self, respond: Callable[[bytes], Iterable[bytes]]) -> None:
        self.lines: queue.Queue[bytes | None] = queue.Queue()
        self._respond = respond

    def said(self, closed: threading.Event) -> Iterator[bytes]:
        """Until an Exit, or the end of the lines."""
        with suppress(Exit):
            while not closed.is_set() and (line := self.lines.get()) is not None:
                yield from (said + b"\n" for said in self._respond(line))


class FakeStream:
    """`chunks` are what `source` gives until the stream is closed, which `changed` is told of; lines that are sent go to `told`."""

    def __init__(
        self,
        source: Callable[[threading.Event], Iterable[bytes]],
        *,
        ends_with: int | None = None,
        changed: threading.Condition | None = None,
        told: Told | None = None,
    ) -> None:
        self._closed = threading.Event()
        self._told = told
        self._source = source
        self._ends_with = ends_with
        self._changed = changed
        self._ended = False

    def send(self, line: bytes) -> None:
        """Tell the command a line."""
        if self._told is None or self._ended:
            raise RuntimeFault("cannot write to stdin: its process has ended")
        self._told.lines.put(line)

    def chunks(self) -> Iterator[bytes]:
        """What it says."""
        for chunk in self._source(self._closed):
            if self._closed.is_set():
                return
            yield chunk
        self._ended = True

    def close(self) -> None:
        """Stop reading."""
        self._closed.set()
        if self._told is not None:
            self._told.lines.put(None)
        if self._changed is not None:
            with self._changed:
                self._changed.notify_all()

    def outcome(self) -> ExecResult | None:
        """Its exit code, once it has ended."""
        return ExecResult(self._ends_with, b"", b"") if self._ended and self._ends_with is not None else None

"""The outcome of an assertion over evidence."""

from __future__ import annotations

import sys
import threading
import time
from dataclasses import dataclass
from traceback import walk_stack

_local = threading.local()


@dataclass(frozen=True)
class Check:
    """Truthy where the wire shows what was asked. A failing `assert check` reads as its one line.

    `blame` is the element at fault where the wire tells, else empty; `frame` is the offending packet's number in capture.pcapng.
    """

    ok: bool
    what: str
    blame: str = ""
    frame: int | None = None

    def __bool__(self) -> bool:
        if not self.ok:
            _local.last = (time.monotonic(), self, tuple((frame.f_code.co_filename, line) for frame, line in walk_stack(sys._getframe(1))))
        return self.ok

    def __repr__(self) -> str:
        place = "" if self.frame is None else f" (frame {self.frame})"
        blame = f", blame {self.blame}" if self.blame else ""
        return f"<{'proven' if self.ok else 'NOT so'}: {self.what}{place}{blame}>"


def last_failed() -> tuple[float, Check, tuple[tuple[str, int], ...]] | None:
    """When (monotonic), which check last turned out false in this thread, and where, as file and line of all
    callers: an AssertionError does not carry it."""
    return getattr(_local, "last", None)


def forget() -> None:
    """Start afresh, before a scenario."""
    _local.last = None

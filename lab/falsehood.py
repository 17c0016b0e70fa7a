"""What turned out false last in a scenario: an AssertionError carries none of the things that its statement asked."""

from __future__ import annotations

import sys
import threading
import time
from dataclasses import dataclass
from traceback import walk_stack

_local = threading.local()


@dataclass(frozen=True)
class Falsehood:
    """What was asked and was not so, when (monotonic seconds), and where, as file and line of all callers."""

    what: object
    at: float
    places: tuple[tuple[str, int], ...]


def remember(what: object) -> None:
    """To be called by `__bool__`: whoever asked is in the stack above that."""
    places = tuple((frame.f_code.co_filename, line) for frame, line in walk_stack(sys._getframe(2)))
    _found()[type(what)] = Falsehood(what, time.monotonic(), places)


def last() -> tuple[Falsehood, ...]:
    """The last ones in this thread, one of each type: what is asked in cleaning up must not hide what failed."""
    return tuple(_found().values())


def forget() -> None:
    """Start afresh, before a scenario."""
    _found().clear()


def _found() -> dict[type, Falsehood]:
    if not hasattr(_local, "found"):
        _local.found = {}
    found: dict[type, Falsehood] = _local.found
    return found

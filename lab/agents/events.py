"""An ordered record of what an element reported, and waiting on it.

Waiting is always for something that has been or will be recorded, with a deadline: no polling, and nothing is lost between two waits.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Event:
    """One event of the agent contract. `received` is the lab's clock, `data` the whole JSON object."""

    name: str
    data: dict[str, Any]
    received: float

    def matches(self, name: str, **members: object) -> bool:
        """True where the name and all given members are equal."""
        return self.name == name and all(self.data.get(key) == value for key, value in members.items())


Predicate = Callable[[Event], bool]


class EventLog:
    """Append-only and thread-safe. Positions are indexes: take one before you cause something, wait from it after."""

    def __init__(self) -> None:
        self._events: list[Event] = []
        self._changed = threading.Condition()
        self._closed: str | None = None

    def __len__(self) -> int:
        with self._changed:
            return len(self._events)

    def __iter__(self) -> Iterator[Event]:
        with self._changed:
            return iter(list(self._events))

    def append(self, event: Event) -> None:
        """Record it and wake every waiter."""
        with self._changed:
            self._events.append(event)
            self._changed.notify_all()

    def close(self, why: str) -> None:
        """Nothing will come any more: waiters return at once instead of sitting out their deadline."""
        with self._changed:
            self._closed = self._closed or why
            self._changed.notify_all()

    @property
    def closed(self) -> str | None:
        """Why the log ended, or None while it is open."""
        return self._closed

    def since(self, start: int) -> list[Event]:
        """Everything recorded from position `start` on."""
        with self._changed:
            return self._events[start:]

    def wake(self) -> None:
        """Make waiters look at their `unless` again."""
        with self._changed:
            self._changed.notify_all()

    def wait(self, predicate: Predicate, *, within: float, start: int = 0, unless: Callable[[], bool] = lambda: False) -> Event | None:
        """The first event from `start` on that satisfies `predicate`; None after `within` seconds, when the log closes or `unless`."""
        deadline = time.monotonic() + within
        position = start
        with self._changed:
            while True:
                for event in self._events[position:]:
                    if predicate(event):
                        return event
                position = len(self._events)
                left = deadline - time.monotonic()
                if self._closed is not None or left <= 0 or unless():
                    return None
                self._changed.wait(left)

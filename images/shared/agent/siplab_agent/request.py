"""A request line, parsed, and its one answer."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from typing import Any

from .faults import RequestError
from .wire import Wire, log

CREATING = frozenset({"account.add", "call.invite", "message.send", "subscribe", "media.record"})
"""Methods whose answer names a new id."""


class Request:
    """One request line; makes sure that it is answered once."""

    def __init__(self, wire: Wire, line: bytes) -> None:
        self._wire = wire
        self._lock = threading.Lock()
        self._holding = False
        self.answered = False
        self.id: Any = None
        self.method = ""
        self.params: Mapping[str, Any] = {}
        self.broken = self._parse(line)

    def _parse(self, line: bytes) -> str:
        """What is wrong with the line, or ""."""
        try:
            message = json.loads(line)
        except (ValueError, RecursionError):
            return "request is not a JSON object on one line of at most 64 KiB"
        if not isinstance(message, dict):
            return "request is not a JSON object"
        number = message.get("id")
        self.id = number if isinstance(number, int | str) else None
        self.method = message.get("method")  # type: ignore[assignment]
        self.params = message.get("params") or {}
        if self.id is None:
            return "id must be an integer or a string"
        if not isinstance(self.method, str):
            return "method must be a string"
        return "" if isinstance(self.params, dict) else "params must be an object"

    def begin(self) -> bool:
        """Its handler runs now. Events wait for the answer where that answer names a new id; `reset` tells them before.

        False where it was answered already, by the watchdog in its thread: nobody would let the events go then.
        """
        with self._lock:
            if self.answered:
                return False
            if self.method in CREATING:
                self._holding = True
                self._wire.hold()
        return True

    def succeed(self, result: Mapping[str, Any]) -> None:
        """Answer with a result."""
        self._answer({"id": self.id, "result": result})

    def fail(self, error: RequestError) -> None:
        """Answer with an error, on one line."""
        message = " ".join(str(error).split())
        self._answer({"id": self.id, "error": {"code": error.code, "message": message}})

    def _answer(self, message: Mapping[str, Any]) -> None:
        with self._lock:
            if self.answered:
                log(f"late answer dropped: {message}")
                return
            self.answered = True
        self._wire.answer(message, release=self._holding)

"""JSON lines to and from one agent (docs/reference/agent-contract.md).

A reader thread turns lines into answers and events. A line that is not protocol, an unknown answer id or an end of file outside a
shutdown is the vendor's fault and is reported with the element's name: it must never look like a lab error, nor like silence.
"""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from lab.agents.events import Event, EventLog
from lab.agents.step import told
from lab.errors import AgentError, RuntimeFault

ANSWER_WITHIN = 10.0
"""Seconds in which every request must be answered (contract, Framing)."""
HELLO_WITHIN = 45.0
"""Seconds from an agent's start to its first answer: software may have to come up before it (contract, Framing)."""
MAX_LINE = 64 * 1024
"""Bytes of one line (contract, Framing)."""
MAX_EVENTS = 5_000
"""Events between two resets (contract, Framing): a scenario has some dozens. Who tells more floods, and is not listened to any more."""


NAMES = {
    "account.add": "account",
    "call.invite": "call",
    "message.send": "message",
    "subscribe": "subscription",
    "media.record": "recording",
}
"""Methods whose result names a new id, and the member that holds it (contract, Methods)."""


class Channel(Protocol):
    """Lines to and from the agent's standard streams."""

    def send(self, line: bytes) -> None:
        """Write one line."""

    def lines(self) -> Iterator[bytes]:
        """Lines as they come, ending at EOF."""

    def close(self) -> None:
        """Stop."""


class AgentClient:
    """One agent. Requests may come from any thread; `events` is what it reported."""

    def __init__(self, element: str, channel: Channel, on_breach: Callable[[str], None] = lambda _: None) -> None:
        """`on_breach` is told, once, how the agent broke the contract in a way that ends it."""
        self.element = element
        self.events = EventLog()
        self.mute = False
        self.broken = ""
        """How the way to the agent was lost, which is no fault of its own; empty where it was not."""
        self._channel = channel
        self._on_breach = on_breach
        self._allowed = MAX_EVENTS
        self._ids = itertools.count(1)
        self._answers: dict[int, dict[str, Any] | None] = {}
        self._answered = threading.Condition()
        self._ended: str | None = None
        self._fallen: str | None = None
        self._closing = False
        self._thread = threading.Thread(target=self._read, name=f"agent-{element}", daemon=True)
        self._thread.start()

    # -- requests ----------------------------------------------------------------------------------------------------------------

    def request(self, method: str, *, within: float = ANSWER_WITHIN, **params: object) -> dict[str, Any]:
        """Send one request and return its result.

        Raises AgentError with the contract's error code, or `fault` where the agent is gone or silent for `within` seconds.
        """
        told(self.element, method)
        number = next(self._ids)
        with self._answered:
            if self._ended:
                raise self._fault(f"{method}: {self._ended}")
            self._answers[number] = None
        line = json.dumps({"id": number, "method": method, "params": params}, separators=(",", ":"))
        try:
            self._channel.send(line.encode())
        except (RuntimeFault, OSError) as error:
            raise self._fault(f"{method}: cannot write to the agent ({error})") from error
        return self._result(method, self._await(number, method, within))

    def _await(self, number: int, method: str, within: float) -> dict[str, Any]:
        deadline = time.monotonic() + within
        with self._answered:
            while True:
                answer = self._answers[number]
                if answer is not None:
                    del self._answers[number]
                    return answer
                if self._ended:
                    raise self._fault(f"{method}: {self._ended}")
                left = deadline - time.monotonic()
                if left <= 0:
                    self.mute = True
                    raise self._fault(f"{method}: no answer within {within:g} s")
                self._answered.wait(left)

    def _result(self, method: str, answer: dict[str, Any]) -> dict[str, Any]:
        error = answer.get("error")
        if isinstance(error, dict):
            code, message = str(error.get("code", "fault")), str(error.get("message", ""))
            raise AgentError(f"{self.element}: {method}: {code}: {message}", element=self.element, code=code)
        result = answer.get("result")
        if not isinstance(result, dict):
            raise self._fault(f"{method}: answer without an object in `result`: {json.dumps(answer)[:200]}")
        named = NAMES.get(method)
        if named and not isinstance(result.get(named), str):
            raise self._fault(f"{method}: answer without `{named}`: {json.dumps(answer)[:200]}")
        return result

    def _fault(self, what: str) -> AgentError:
        return AgentError(f"{self.element}: {what}", element=self.element, code="fault")

    # -- reading -----------------------------------------------------------------------------------------------------------------

    def _read(self) -> None:
        why = "the agent ended (end of file on its output)"
        try:
            for line in self._channel.lines():
                complaint = self._take(line)
                if complaint:
                    why = complaint
                    self._on_breach(complaint)
                    break
        except (RuntimeFault, OSError) as error:
            why = f"the agent's output broke ({error})"
            self.broken = "" if self._closing else str(error)
        self._end(why)

    def _take(self, line: bytes) -> str | None:
        """Sort one line in; a complaint ends the agent."""
        if not line.strip():
            return None
        if len(line) > MAX_LINE:
            return f"flooded its output: a line of more than {MAX_LINE} bytes"
        try:
            message = json.loads(line)
            json.dumps(message, ensure_ascii=False, allow_nan=False).encode()  # NaN and lone surrogates are no JSON for others
        except (ValueError, RecursionError):
            message = None
        if not isinstance(message, dict) or not isinstance(message.get("event", ""), str):
            return f"not protocol on its output: {line[:120]!r}"
        if "event" in message:
            return self._take_event(message)
        return self._take_answer(message)

    def _take_event(self, message: dict[str, Any]) -> str | None:
        if len(self.events) >= self._allowed:
            return f"flooded its output: more than {MAX_EVENTS} events since its reset"
        self.events.append(Event(message["event"], message, time.time()))
        if message["event"] == "fault" and self._fallen is None:
            self._fallen = str(message.get("what") or "reported a fault without saying which")[:300]
        return None

    def _take_answer(self, message: dict[str, Any]) -> str | None:
        number = message.get("id")
        with self._answered:
            if not isinstance(number, int) or self._answers.get(number, message) is not None:
                return f"an answer to no open request: {json.dumps(message)[:120]}"
            self._answers[number] = message
            self._answered.notify_all()
        return None

    def _end(self, why: str) -> None:
        if not self._closing:
            self.events.append(Event("fault", {"event": "fault", "what": why}, time.time()))
        with self._answered:
            self._ended = why
            self._answered.notify_all()
        self.events.close(why)

    # -- life --------------------------------------------------------------------------------------------------------------------

    def reset(self) -> None:
        """Back to the state after the handshake (contract, Methods), and a fresh allowance of events."""
        self.request("reset")
        self._allowed = len(self.events) + MAX_EVENTS

    @property
    def dead(self) -> str | None:
        """Why the agent can no longer be used, or None: it is gone, or told of its software's death (contract, `fault`)."""
        return self._ended or self._fallen

    def shutdown(self, within: float = ANSWER_WITHIN) -> None:
        """Ask it to end; an agent that is gone already, or has left a request without an answer, is not asked."""
        self._closing = True
        if self._ended is None and not self.mute:
            try:
                self.request("shutdown", within=within)
            except AgentError as error:
                if error.code != "fault":
                    raise

    def close(self) -> None:
        """Stop reading."""
        self._closing = True
        self._channel.close()

"""Transactions as pure state machines (RFC 3261 §17, RFC 6026): events in, actions out, no clock and no network.

`Send` repeats go through the same action as the first sending, so a script of events shows the whole behaviour.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from .timers import STANDARD, TIMER_D, Timing

TimerName = Literal["A", "B", "D", "E", "F", "G", "H", "I", "J", "K", "L", "M"]


@dataclass(frozen=True)
class Send:
    """Give this to the transport: `request`, `ack`, or `response` (the last one that was given to the transaction)."""

    what: Literal["request", "ack", "response"]


@dataclass(frozen=True)
class Pass:
    """Give the message to the transaction user."""


@dataclass(frozen=True)
class Start:
    """Start (or restart) a timer of so many seconds."""

    timer: TimerName
    seconds: float


@dataclass(frozen=True)
class Stop:
    """Stop a timer, if it runs."""

    timer: TimerName


@dataclass(frozen=True)
class TimedOut:
    """Tell the transaction user that nobody answered (client) or acknowledged (server)."""


@dataclass(frozen=True)
class End:
    """The transaction is over: forget it and stop its timers."""


Action = Send | Pass | Start | Stop | TimedOut | End


@dataclass
class InviteClient:
    """RFC 3261 §17.1.1, with the Accepted state of RFC 6026 §8.4."""

    reliable: bool
    timing: Timing = STANDARD
    state: str = "calling"
    _interval: float = field(default=0.0)

    def begin(self) -> list[Action]:
        """Send the INVITE."""
        self._interval = self.timing.t1
        repeat: list[Action] = [] if self.reliable else [Start("A", self._interval)]
        return [Send("request"), *repeat, Start("B", self.timing.timeout)]

    def response(self, code: int) -> list[Action]:
        """A response matched."""
        if self.state in ("calling", "proceeding"):
            return self._first(code)
        if self.state == "completed" and code >= 300:
            return [Send("ack")]
        if self.state == "accepted" and 200 <= code < 300:
            return [Pass()]
        return []

    def _first(self, code: int) -> list[Action]:
        stop: list[Action] = [Stop("A"), Stop("B")]
        if code < 200:
            self.state = "proceeding"
            return [*stop, Pass()]
        if code < 300:
            self.state = "accepted"
            return [*stop, Pass(), Start("M", self.timing.timeout)]
        self.state = "completed"
        if self.reliable:
            self.state = "terminated"
            return [*stop, Send("ack"), Pass(), End()]
        return [*stop, Send("ack"), Pass(), Start("D", TIMER_D)]

    def timer(self, name: TimerName) -> list[Action]:
        """A timer fired."""
        if name == "A" and self.state == "calling":
            self._interval *= 2
            return [Send("request"), Start("A", self._interval)]
        if name == "B" and self.state == "calling":
            self.state = "terminated"
            return [TimedOut(), End()]
        if name in ("D", "M"):
            self.state = "terminated"
            return [End()]
        return []


@dataclass
class RequestClient:
    """A client transaction of any other method (RFC 3261 §17.1.2)."""

    reliable: bool
    timing: Timing = STANDARD
    state: str = "trying"
    _interval: float = field(default=0.0)

    def begin(self) -> list[Action]:
        """Send the request."""
        self._interval = self.timing.t1
        repeat: list[Action] = [] if self.reliable else [Start("E", self._interval)]
        return [Send("request"), *repeat, Start("F", self.timing.timeout)]

    def response(self, code: int) -> list[Action]:
        """A response matched."""
        if self.state not in ("trying", "proceeding"):
            return []
        if code < 200:
            self.state = "proceeding"
            return [Pass()]
        self.state = "completed"
        stop: list[Action] = [Stop("E"), Stop("F"), Pass()]
        if self.reliable:
            self.state = "terminated"
            return [*stop, End()]
        return [*stop, Start("K", self.timing.t4)]

    def timer(self, name: TimerName) -> list[Action]:
        """A timer fired."""
        if name == "E" and self.state in ("trying", "proceeding"):
            self._interval = self.timing.t2 if self.state == "proceeding" else min(2 * self._interval, self.timing.t2)
            return [Send("request"), Start("E", self._interval)]
        if name == "F" and self.state in ("trying", "proceeding"):
            self.state = "terminated"
            return [TimedOut(), End()]
        if name == "K":
            self.state = "terminated"
            return [End()]
        return []


@dataclass
class InviteServer:
    """RFC 3261 §17.2.1, with the Accepted state of RFC 6026 §8.7: the user of the transaction repeats its 2xx itself."""

    reliable: bool
    timing: Timing = STANDARD
    state: str = "proceeding"
    responded: bool = False
    _interval: float = field(default=0.0)

    def begin(self) -> list[Action]:
        """The INVITE goes up."""
        return [Pass()]

    def request(self) -> list[Action]:
        """The INVITE came again."""
        return [Send("response")] if self.responded and self.state in ("proceeding", "completed") else []

    def ack(self) -> list[Action]:
        """An ACK matched; that of a 2xx is the transaction user's."""
        if self.state == "accepted":
            return [Pass()]
        if self.state != "completed":
            return []
        self.state = "confirmed"
        stop: list[Action] = [Stop("G"), Stop("H")]
        if self.reliable:
            self.state = "terminated"
            return [*stop, End()]
        return [*stop, Start("I", self.timing.t4)]

    def respond(self, code: int) -> list[Action]:
        """The transaction user answers."""
        if self.state == "accepted" and 200 <= code < 300:
            return [Send("response")]
        if self.state != "proceeding":
            return []
        self.responded = True
        if code < 200:
            return [Send("response")]
        if code < 300:
            self.state = "accepted"
            return [Send("response"), Start("L", self.timing.timeout)]
        self.state, self._interval = "completed", self.timing.t1
        repeat: list[Action] = [] if self.reliable else [Start("G", self._interval)]
        return [Send("response"), *repeat, Start("H", self.timing.timeout)]

    def timer(self, name: TimerName) -> list[Action]:
        """A timer fired."""
        if name == "G" and self.state == "completed":
            self._interval = min(2 * self._interval, self.timing.t2)
            return [Send("response"), Start("G", self._interval)]
        if name == "H" and self.state == "completed":
            self.state = "terminated"
            return [TimedOut(), End()]
        if name in ("I", "L"):
            self.state = "terminated"
            return [End()]
        return []


@dataclass
class RequestServer:
    """A server transaction of any other method (RFC 3261 §17.2.2)."""

    reliable: bool
    timing: Timing = STANDARD
    state: str = "trying"

    def begin(self) -> list[Action]:
        """The request goes up."""
        return [Pass()]

    def request(self) -> list[Action]:
        """The request came again."""
        return [Send("response")] if self.state in ("proceeding", "completed") else []

    def respond(self, code: int) -> list[Action]:
        """The transaction user answers."""
        if self.state not in ("trying", "proceeding"):
            return []
        if code < 200:
            self.state = "proceeding"
            return [Send("response")]
        self.state = "completed"
        if self.reliable:
            self.state = "terminated"
            return [Send("response"), End()]
        return [Send("response"), Start("J", self.timing.timeout)]

    def timer(self, name: TimerName) -> list[Action]:
        """A timer fired."""
        if name == "J":
            self.state = "terminated"
            return [End()]
        return []

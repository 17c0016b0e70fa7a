"""Reliable provisional responses (RFC 3262) without a clock: the numbers of who sends them, the order that who receives them keeps."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from sipmessage import Response

from .fault import MessageError
from .timers import STANDARD, Timing

TAG = "100rel"
"""The option tag (RFC 3262 §8.1)."""
_RACK = re.compile(r"(\d{1,10})\s+(\d{1,10})\s+(\S+)")


@dataclass(frozen=True)
class RAck:
    """What a PRACK acknowledges: the response's RSeq, and the CSeq of the request that it answers (§7.2)."""

    number: int
    sequence: int
    method: str

    @classmethod
    def parse(cls, text: str) -> RAck:
        """An RAck header's value. MessageError where it is none."""
        match = _RACK.fullmatch(text.strip())
        if not match:
            raise MessageError(f"no RAck: {text[:60]!r}")
        return cls(int(match[1]), int(match[2]), match[3])

    def __str__(self) -> str:
        return f"{self.number} {self.sequence} {self.method}"


def number_of(response: Response) -> int | None:
    """The RSeq of a reliable provisional response; None where it is none, or 100, which never is (§3)."""
    text = (response.headers.get("RSeq") or "").strip()
    reliable = TAG in response.require and 100 < response.code < 200
    return int(text) if reliable and re.fullmatch(r"\d{1,10}", text) else None


@dataclass
class ReliableSender:
    """The callee's side: one response at a time waits for its PRACK and is repeated until then (§3)."""

    last: int
    """RSeq of the response sent last; the first one is the next number. Up to 2**31-2 (§3)."""
    timing: Timing = STANDARD
    waiting: bool = False
    _interval: float = field(default=0.0)
    _waited: float = field(default=0.0)

    def send(self) -> int:
        """The number of a new response; RuntimeError while another one waits."""
        if self.waiting:
            raise RuntimeError(f"RSeq {self.last} is not acknowledged yet")
        self.last += 1
        self.waiting, self._interval, self._waited = True, self.timing.t1, 0.0
        return self.last

    def repeat_after(self) -> float:
        """Seconds until the response is to be sent again: T1, doubled each time, 64*T1 altogether."""
        interval = min(self._interval, self.timing.timeout - self._waited)
        self._interval, self._waited = 2 * self._interval, self._waited + interval
        return interval

    @property
    def exhausted(self) -> bool:
        """It was repeated for 64*T1: refuse the INVITE."""
        return self._waited >= self.timing.timeout

    def acknowledge(self, ack: RAck, sequence: int) -> bool:
        """A PRACK came. False where nothing of that name waits: answer 481 (§3). `sequence` is the INVITE's CSeq."""
        if not self.waiting or ack != RAck(self.last, sequence, "INVITE"):
            return False
        self.waiting = False
        return True


@dataclass
class ReliableReceiver:
    """The caller's side of one early dialog: repetitions and gaps are not acknowledged (§4)."""

    last: int | None = None

    def accept(self, number: int) -> bool:
        """Is this the next one?"""
        if self.last is not None and number != self.last + 1:
            return False
        self.last = number
        return True

"""What happens in a lab, as lines for people: SIP messages as they cross a wire, and elements that end."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

from lab.errors import LabError
from lab.evidence.message import SipMessage
from lab.session.bench import Bench
from lab.verdict.decide import one_line

LAP = 60.0
"""Seconds after which the limits for floods count afresh: in a lab for people there is no scenario that would end."""
_WIDTH = 100


class Watch:
    """Follows one bench. Not for verdicts: what could not be decrypted at once is not shown."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._column = max(len(element.name) for element in bench.plan.elements)
        self._frame = 0
        self._known: set[str] = set()
        self._broken = False
        self._lapped = time.monotonic()

    def lines(self, within: float, stopping: threading.Event) -> Iterator[str]:
        """What is new, after at most `within` seconds, or as soon as `stopping` is set where nothing can be followed any more."""
        if time.monotonic() - self._lapped > LAP:
            self._bench.lap()
            self._lapped = time.monotonic()
        yield from self._messages(within, stopping)
        yield from self._deaths()

    def _messages(self, within: float, stopping: threading.Event) -> Iterator[str]:
        if self._broken:
            stopping.wait(within)
            return
        try:
            events = self._bench.capture.after(self._frame, within)
        except LabError as error:
            self._broken = True
            yield f"the capture has ended, messages are no longer shown: {error}"
            return
        for event in events:
            self._frame = max(self._frame, event.frame)
            if isinstance(event, SipMessage):
                yield message_line(event, self._column)

    def _deaths(self) -> Iterator[str]:
        try:
            dead = self._bench.dead()
        except LabError as error:
            dead = {"lab": str(error)}
        for name, how in dead.items():
            if name not in self._known:
                self._known.add(name)
                yield f"{name} {how}; last log lines: {one_line(self._bench.log_tail(name), 200) or 'none'}"


def message_line(message: SipMessage, column: int = 0) -> str:
    """`17:52:03.123  alice → pa  INVITE sip:bob@biloxi.example  udp`, the names in columns of this width."""
    clock = time.strftime("%H:%M:%S", time.localtime(message.time)) + f".{int(message.time % 1 * 1000):03d}"
    what = f"{message.method} {message.uri}" if message.is_request else message.label
    return f"{clock}  {message.src.name:>{column}} → {message.dst.name:<{column}}  {one_line(what, _WIDTH)}  {message.transport}"

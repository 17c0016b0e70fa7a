"""What crossed the wires during one scenario: the way in for authors and for verdicts."""

from __future__ import annotations

import time
from collections.abc import Callable

from lab.errors import EvidenceError
from lab.evidence.capture import Capture, Position
from lab.evidence.check import Check
from lab.evidence.events import DnsMessage, Event, Stray, TlsRecord
from lab.evidence.media import Media
from lab.evidence.message import SipMessage
from lab.evidence.signalling import Predicate, Signalling
from lab.evidence.tls import TlsView, carries_data


class Wire:
    """Views on the capture from the scenario's begin mark to now (or to `close`).

    Every property first sends a marker frame and waits for it: what an element did before the question is in the answer. That takes about
    0.2 s, so keep a view where several questions are put to it.
    """

    def __init__(self, capture: Capture, name: str, deadline: float = 10.0) -> None:
        self._capture, self._name, self._deadline = capture, name, deadline
        self.begin = capture.mark(f"begin {name}", deadline=deadline)
        self._end: Position | None = None

    def close(self) -> None:
        """The scenario is over: later questions are about its own packets only. Idempotent."""
        self._end = self._end or self._capture.mark(f"end {self._name}", deadline=self._deadline)

    def _now(self) -> Position:
        return self._end or self._capture.mark(f"look {self._name}", deadline=self._deadline)

    def events(self) -> tuple[Event, ...]:
        """Everything dissected, readable or not: for ladders and timelines, not for verdicts."""
        return self._capture.events(self.begin, self._now())[0]

    def _readable(self, end: Position) -> tuple[Event, ...]:
        events, hidden = self._capture.events(self.begin, end)
        if hidden:
            what = f"{hidden} TLS records of {self._name} cannot be decrypted"
            raise EvidenceError(what, remedy="one side of every connection must log its keys")
        return events

    @property
    def signalling(self) -> Signalling:
        """All SIP messages. EvidenceError where a TLS record could not be decrypted: a message may be missing."""
        return self._signalling(self._readable(self._now()))

    def _signalling(self, events: tuple[Event, ...]) -> Signalling:
        return Signalling([event for event in events if isinstance(event, SipMessage)], self._capture.directory)

    @property
    def media(self) -> Media:
        """RTP and SRTP flows, with the keys that the signalling negotiated."""
        end = self._now()
        return Media(self._capture.frames(self.begin, end), self._signalling(self._readable(end)), self._capture.directory)

    @property
    def tls(self) -> TlsView:
        """TLS handshakes and alerts; needs no keys."""
        return TlsView(tuple(event for event in self.events() if isinstance(event, TlsRecord)))

    @property
    def dns(self) -> tuple[DnsMessage, ...]:
        """DNS queries and responses."""
        return tuple(event for event in self.events() if isinstance(event, DnsMessage))

    def wait(self, predicate: Predicate, within: float, about: str = "that match") -> Signalling:
        """The messages for which `predicate` holds, as soon as there is one; empty (falsy) where none came within `within` seconds."""
        return self._until(lambda: self.signalling.where(predicate, about), within)

    def _until(self, look: Callable[[], Signalling], within: float) -> Signalling:
        until = time.monotonic() + within
        while True:
            found = look()  # paced by the marker frame that every look waits for
            if found or time.monotonic() >= until:
                return found

    def no_sip_bytes(self, one: str, other: str, *, port: int | None = None) -> Check:
        """The two elements met (on that server port) and exchanged not one byte of SIP: a refused certificate (RFC 5922 §7).

        EvidenceError where they did not even try, or where a TLS record cannot be read.
        """
        events = self._readable(self._now())
        ours = [e for e in events if not isinstance(e, DnsMessage) and _joins(e, one, other, port)]
        if not ours:
            raise EvidenceError(
                f"nothing captured between {one} and {other}" + (f" on port {port}" if port else ""), remedy="was the call attempted?"
            )
        for event in ours:
            if isinstance(event, SipMessage | Stray) or (isinstance(event, TlsRecord) and carries_data(event)):
                what = event.label if isinstance(event, SipMessage) else "application data"
                return Check(False, f"{what} passed from {event.src} to {event.dst}", event.src.name, event.frame)
        return Check(True, f"no SIP byte between {one} and {other}")


def _joins(event: Event, one: str, other: str, port: int | None) -> bool:
    if not isinstance(event, SipMessage | TlsRecord | Stray):
        return False
    return {event.src.element, event.dst.element} == {one, other} and port in (None, event.src.port, event.dst.port)

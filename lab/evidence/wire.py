"""What crossed the wires during one scenario: the way in for authors and for verdicts."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from lab.errors import EvidenceError
from lab.evidence.capture import Capture, Position
from lab.evidence.check import Check
from lab.evidence.drawing import as_svg
from lab.evidence.events import DnsMessage, Event, Stray, TlsRecord
from lab.evidence.families import Families
from lab.evidence.forking import Forking
from lab.evidence.keying import Keying
from lab.evidence.ladder import as_text
from lab.evidence.layout import Ladder, build
from lab.evidence.load import Load
from lab.evidence.media import Media
from lab.evidence.media_path import MediaPath
from lab.evidence.message import SipMessage
from lab.evidence.octets import Octets
from lab.evidence.outbound import Outbound
from lab.evidence.signalling import Predicate, Signalling
from lab.evidence.sound import Sound
from lab.evidence.telephony import Telephony
from lab.evidence.timeline import write
from lab.evidence.tls import TlsView
from lab.evidence.traversal import Traversal, keep_alives

_Seen = TypeVar("_Seen", Check, Signalling)

SETTLE_SECONDS = 2.0
"""How long a question waits for open transactions: four times T1 (RFC 3261 §17.1.1.2), so one lost packet is made good."""


class Wire:
    """Views on the capture from the scenario's begin mark to now (or to `close`).

    Every property first sends a marker frame and waits for it: what an element did before the question is in the answer. That takes about
    0.2 s, so keep a view where several questions are put to it.
    """

    def __init__(self, capture: Capture, name: str, deadline: float = 10.0) -> None:
        self._capture, self._name, self._deadline = capture, name, deadline
        self.begin = capture.mark(f"begin {name}", deadline=deadline)
        self._earlier = capture.transactions(self.begin)
        self._end: Position | None = None

    def close(self) -> None:
        """The scenario is over: later questions are about its own packets only. Idempotent."""
        self._end = self._end or self._capture.mark(f"end {self._name}", deadline=self._deadline)

    def _now(self) -> Position:
        return self._end or self._capture.mark(f"look {self._name}", deadline=self._deadline)

    def events(self) -> tuple[Event, ...]:
        """Everything dissected, readable or not: for ladders and timelines, not for verdicts."""
        return self._own(self._capture.events(self.begin, self._now())[0])

    def _own(self, events: tuple[Event, ...]) -> tuple[Event, ...]:
        """Without what is left of earlier scenarios: retransmissions, and late answers to what user agents sent when they were reset."""
        return tuple(event for event in events if not (isinstance(event, SipMessage) and (event.call_id, event.cseq) in self._earlier))

    def _readable(self, end: Position) -> tuple[Event, ...]:
        events, hidden = self._capture.events(self.begin, end)
        if hidden:
            what = f"{hidden} TLS records of {self._name} cannot be decrypted"
            raise EvidenceError(what, remedy="one side of every connection must log its keys")
        return self._own(events)

    @property
    def signalling(self) -> Signalling:
        """All SIP messages, once every request has been answered or SETTLE_SECONDS have passed: a side reports the end of a call before
        the last 200 has travelled. EvidenceError where a TLS record could not be decrypted: a message may be missing.
        """
        return self._settled(self._now())

    def _settled(self, end: Position) -> Signalling:
        until = time.monotonic() + SETTLE_SECONDS
        while True:
            found = self._signalling(self._readable(end))
            if self._end is not None or not found.unfinished() or time.monotonic() >= until:
                return found
            end = self._now()

    def _signalling(self, events: tuple[Event, ...]) -> Signalling:
        others = [event for event in events if isinstance(event, TlsRecord | Stray)]
        return Signalling([event for event in events if isinstance(event, SipMessage)], self._capture.directory, others=others)

    @property
    def forking(self) -> Forking:
        """The branches of INVITEs that went to several contacts."""
        return Forking(self.signalling)

    @property
    def keying(self) -> Keying:
        """How each side wants its media keyed."""
        return Keying(self.signalling)

    @property
    def media(self) -> Media:
        """RTP and SRTP flows, with the keys that signalling and handshakes negotiated."""
        signalling = self.signalling
        return self._media(self._now(), signalling)

    def _media(self, end: Position, signalling: Signalling) -> Media:
        return Media(self._capture.frames(self.begin, end), signalling, self._capture.directory, self._capture.master_secrets)

    def octets(self, network: str) -> Octets:
        """Every byte that crossed a network, SIP over TLS as it was decrypted."""
        signalling = self.signalling.on(network)
        interface = self._capture.directory.interface(network)
        frames = [frame for frame in self._capture.frames(self.begin, self._now()) if frame.interface == interface]
        return Octets(network, signalling, frames, self._capture.directory)

    def families(self, network: str = "") -> Families:
        """The IP versions that crossed a network; all networks where none is named."""
        directory = self._capture.directory
        chosen = {directory.interface(network)} if network else None
        frames = [frame for frame in self._capture.frames(self.begin, self._now()) if chosen is None or frame.interface in chosen]
        return Families(frames, directory, network or "all networks")

    @property
    def telephony(self) -> Telephony:
        """What SIP says of the telephone network."""
        signalling = self.signalling
        begin, end = self.begin, self._now()
        return Telephony(signalling, lambda: self._capture.frames(begin, end), self._media(end, signalling), self._capture.directory)

    def heard_early(self, tone_hz: int, *, by: str, to: str, within: float) -> Check:
        """As `telephony.early`, as soon as it is so: while the call is not answered yet. False after `within` seconds."""

        def look() -> Check:
            end = self._now()
            signalling = self._signalling(self._readable(end))
            return Telephony(signalling, tuple, self._media(end, signalling), self._capture.directory).early(tone_hz, by=by, to=to)

        return self._until(look, within)

    @property
    def media_path(self) -> MediaPath:
        """What else crosses where media do: STUN, TURN, ZRTP."""
        return MediaPath(self._capture.frames(self.begin, self._now()), self._capture.directory)

    @property
    def traversal(self) -> Traversal:
        """How signalling and media got through NATs and firewalls."""
        signalling = self.signalling
        return Traversal(self._capture.frames(self.begin, self._now()), signalling, self._capture.directory)

    @property
    def outbound(self) -> Outbound:
        """The flows that user agents registered over, and what came down them."""
        return Outbound(self.signalling)

    @property
    def tls(self) -> TlsView:
        """TLS handshakes and alerts; needs no keys."""
        return TlsView(tuple(event for event in self.events() if isinstance(event, TlsRecord)))

    @property
    def connections(self) -> TlsView:
        """TLS since the lab began: a connection may be older than the scenario that goes over it."""
        events = self._capture.events(replace(self.begin, frame=0), self._now())[0]
        return TlsView(tuple(event for event in events if isinstance(event, TlsRecord)))

    @property
    def dns(self) -> tuple[DnsMessage, ...]:
        """DNS queries and responses."""
        return tuple(event for event in self.events() if isinstance(event, DnsMessage))

    def load(self, element: str, method: str) -> Load:
        """How an element's requests of one method were met."""
        return Load(element, method, self.signalling)

    def ladder(self) -> Ladder:
        """The call flow so far, drawn as far as it could be read."""
        end = self._now()
        signalling = self._signalling(self._own(self._capture.events(self.begin, end)[0]))
        media = self._media(end, signalling)
        known = self._capture.directory
        return build(self._name, known.elements, signalling, media.flows, _is_secured(media), beside=known.behind)

    def save(self, folder: Path, others: Iterable[Mapping[str, object]] = ()) -> tuple[Path, ...]:
        """Close, and write ladder.svg, ladder.txt and timeline.jsonl. `others` are events of agents and steps, each with `t`."""
        self.close()
        folder.mkdir(parents=True, exist_ok=True)
        drawing = self.ladder()
        (folder / "ladder.svg").write_text(as_svg(drawing), encoding="utf-8")
        (folder / "ladder.txt").write_text(as_text(drawing), encoding="utf-8")
        self.write_timeline(folder / "timeline.jsonl", others)
        return tuple(folder / name for name in ("ladder.svg", "ladder.txt", "timeline.jsonl"))

    def write_timeline(self, path: Path, others: Iterable[Mapping[str, object]] = ()) -> None:
        """Everything on one clock, one JSON object per line; `others` as for `save`."""
        write(path, self.events(), others)

    def wait(self, predicate: Predicate, within: float, about: str = "that match") -> Signalling:
        """The messages for which `predicate` holds, as soon as there is one; empty (falsy) where none came within `within` seconds."""
        return self._until(lambda: self._signalling(self._readable(self._now())).where(predicate, about), within)

    def says(self, source: str, destination: str, hz: float, *, times: int = 1, within: float = 8.0) -> Check:
        """`source` has said this tone to `destination` so many times, as soon as that is so."""
        return self._said(source, destination, lambda sound: sound.holds(hz, times=times), within)

    def _said(self, source: str, destination: str, judge: Callable[[Sound], Check], within: float) -> Check:
        def look() -> Check:
            end = self._now()
            media = self._media(end, self._signalling(self._readable(end)))
            if any((flow.src.element, flow.dst.element) == (source, destination) for flow in media.flows):
                return judge(media.sound(source, destination))
            return Check(False, f"no RTP packet from {source} to {destination}", source)

        return self._until(look, within)

    def dials(self, source: str, destination: str, digits: str, within: float = 8.0) -> Check:
        """`source` has sent exactly these digits to `destination` as sound (ITU-T Q.23), as soon as that is so."""
        return self._said(source, destination, lambda sound: sound.dials(digits), within)

    def kept_alive(self, element: str, times: int, *, over: float, within: float) -> Check:
        """The element has sent this many keep-alives (RFC 5626 §3.5) to SIP servers, the last of them at least `over` seconds after it
        first registered in this scenario."""

        def look() -> Check:
            end = self._now()
            registered = self._signalling(self._readable(end)).requests("REGISTER").sent_by(element)
            begin = registered[0].time if registered else math.inf
            found = [t for t in keep_alives(self._capture.frames(self.begin, end), self._capture.directory, element) if t > begin]
            lasted = found[-1] - begin if found else 0.0
            what = f"{element} sent {len(found)} keep-alives, the last {lasted:.0f} s after its REGISTER; {times} over {over:g} s expected"
            return Check(len(found) >= times and lasted >= over, what, element)

        return self._until(look, within)

    def resumed(self, element: str, other: str, before: frozenset[tuple[str, int]], within: float) -> Check:
        """As `Traversal.resumed`, as soon as it is so."""
        return self._until(lambda: self.traversal.resumed(element, other, before), within)

    def _until(self, look: Callable[[], _Seen], within: float) -> _Seen:
        """What there is to see as soon as it is as wanted, or else when the time is up. A check that does not hold yet was not asked."""
        until = time.monotonic() + within
        while True:
            found = look()  # paced by the marker frame that every look waits for
            if (found.ok if isinstance(found, Check) else found) or time.monotonic() >= until:
                return found


def _is_secured(media: Media) -> bool:
    """For the drawing's colour only: what cannot be proven is drawn as clear."""
    try:
        return bool(media.all_srtp())
    except EvidenceError:
        return False

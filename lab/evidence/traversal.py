"""How signalling and media get through NATs and firewalls, as every link between an element and its partners shows it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from lab.errors import EvidenceError
from lab.evidence.check import Check
from lab.evidence.directory import Directory, Endpoint
from lab.evidence.media import NOT_MEDIA, is_rtp, udp
from lab.evidence.message import SipMessage, via_host
from lab.evidence.pcapng import Frame
from lab.evidence.signalling import Signalling

_TURN_DATA = b"\x00\x17"  # a Data indication (RFC 8656 §11.6)
_DATA_ATTRIBUTE = 0x0013
_BINDING = b"\x00\x01"
_SIP_PORTS = (5060, 5061)
_CANDIDATE = re.compile(r"candidate:\S+ \d+ udp \d+ (\S+) (\d+) typ (\w+)", re.IGNORECASE)


@dataclass(frozen=True)
class Arrival:
    """An RTP packet that reached a user agent. Where its own relay brought it, `relayed` is true and `src` the relay."""

    frame: int
    src: Endpoint
    dst: Endpoint
    relayed: bool


class Traversal:
    """Where responses and calls went that had to get in from outside, and the candidates that media came from."""

    def __init__(self, frames: Iterable[Frame], signalling: Signalling, directory: Directory) -> None:
        self._signalling, self._directory = signalling, directory
        self._arrivals = tuple(_arrivals(frames, directory))

    # -- signalling --------------------------------------------------------------------------------------------------------------

    def answered_to_source(self, server: str, through: str) -> Check:
        """Over UDP `server` sent every response to what came from the NAT `through` back to the port that it came from, and said so in
        the Via (RFC 3581 §4): `received` and `rport`. The NAT had changed that port or address at least once.
        """
        asked = {m.branch: m for m in self._signalling.between(server, through).requests() if m.src.element == through}
        translated = 0
        for response in (m for m in self._signalling.between(server, through).responses() if m.src.element == server):
            request = asked.get(response.branch)
            if request is None or response.transport != "udp":
                continue
            if (response.dst.address, response.dst.port) != (request.src.address, request.src.port):
                return Check(False, f"{response.label} went to {response.dst}, its request came from {request.src}", server, response.frame)
            via = response.header_values("Via")[0]
            if f"rport={request.src.port}" not in via or f"received={request.src.address}" not in via:
                return Check(False, f"{response.label} has the Via {via}, its request came from {request.src}", server, response.frame)
            translated += via_host(via) != request.src.address
        if not translated:
            return Check(False, f"{server} answered nothing over UDP that {through} had translated", through)
        return Check(True, f"{server} sent {translated} responses to where their translated requests had come from")

    def came_down_own_connection(self, element: str, method: str = "INVITE") -> Check:
        """A request reached `element` on the connection that it had opened itself to register (RFC 5626 §5.3, RFC 5923)."""
        opened = {(m.src.port, m.dst.address, m.dst.port) for m in self._signalling.sent_by(element).requests("REGISTER")}
        arrived = [m for m in self._signalling.received_by(element).requests(method) if m.transport != "udp"]
        if not arrived:
            return Check(False, f"no {method} reached {element} over a connection", element)
        for message in arrived:
            if (message.dst.port, message.src.address, message.src.port) not in opened:
                return Check(False, f"{method} came by another connection than {element}'s own", message.src.name, message.frame)
        return Check(True, f"{method} came down {element}'s own connection", frame=arrived[0].frame)

    def rewritten(self, nat: str, sender: str, over: str) -> Check:
        """What `sender` sent over a transport is not what left the NAT: its requests were changed on the way (RFC 6314 §4.4, an ALG)."""
        crossed = self._crossed(nat, sender, over)
        changed = [after for before, after in crossed if before.raw != after.raw]
        if changed:
            return Check(True, f"{nat} changed {len(changed)} of {len(crossed)} requests of {sender}", frame=changed[0].frame)
        return Check(False, f"{nat} changed none of {len(crossed)} requests of {sender}", nat)

    def untouched(self, nat: str, sender: str, over: str) -> Check:
        """Every request of `sender` over a transport left the NAT byte for byte as it was sent."""
        crossed = self._crossed(nat, sender, over)
        for before, after in crossed:
            if before.raw != after.raw:
                return Check(False, f"{nat} changed the {after.method} of {sender}", nat, after.frame)
        return Check(True, f"all {len(crossed)} requests of {sender} left {nat} as they were sent")

    def lengths_fit(self, nat: str) -> Check:
        """Content-Length of everything that left the NAT is the length of the body that followed (RFC 3261 §20.14). EvidenceError where
        nothing left it."""
        left = self._signalling.sent_by(nat)
        if not left:
            raise EvidenceError(f"no SIP message left {nat}", remedy="look at capture.pcapng")
        for message in left:
            told, length = message.header("Content-Length"), len(message.body) + message.surplus
            if told and told != str(length):
                return Check(False, f"{message.label} says Content-Length {told} and has {length} bytes", nat, message.frame)
        return Check(True, f"the lengths of all {len(left)} messages that left {nat} are right")

    def _crossed(self, nat: str, sender: str, over: str) -> list[tuple[SipMessage, SipMessage]]:
        """Each request of `sender` with the same as it left the NAT. EvidenceError where none did."""
        inside = {_identity(m): m for m in self._signalling.sent_by(sender).requests() if m.transport == over}
        left = {_identity(m): m for m in self._signalling.sent_by(nat).requests()}
        if not (crossed := [(inside[key], left[key]) for key in inside if key in left]):
            raise EvidenceError(f"no request of {sender} left {nat} over {over}")
        return crossed

    # -- media -------------------------------------------------------------------------------------------------------------------

    def told(self, element: str) -> dict[tuple[str, int], str]:
        """Address and port -> candidate type, of all candidates in this element's SDP."""
        found: dict[tuple[str, int], str] = {}
        for message in self._signalling.sent_by(element):
            for media in message.sdp.media if message.sdp else ():
                for line in media.attributes:
                    if match := _CANDIDATE.match(line):
                        found[(match[1], int(match[2]))] = match[3].lower()
        return found

    def candidate(self, of: str, seen_by: str) -> str:
        """The type of the candidate of one side from which the other's media come in the end: host, srflx, relay, or prflx where it was
        never told. Empty where nothing arrived. `own-relay` where they come by the receiver's relay, which hides it.
        """
        arrived = [arrival for arrival in self._arrivals if arrival.dst.element == seen_by]
        if not arrived:
            return ""
        last = arrived[-1]
        return "own-relay" if last.relayed else self.told(of).get((last.src.address, last.src.port), "prflx")

    def sources_of(self, element: str, *, seen_by: str) -> frozenset[tuple[str, int]]:
        """Addresses and ports from which the media of `element`, or of whoever translates them, reached the other side."""
        return frozenset((a.src.address, a.src.port) for a in self._arrivals if a.dst.element == seen_by)

    def resumed(self, element: str, other: str, before: frozenset[tuple[str, int]]) -> Check:
        """Media of `element` reach the other side from a place that is not one of `before`, and since then media come back to it."""
        places = ((n, a) for n, a in enumerate(self._arrivals) if a.dst.element == other and (a.src.address, a.src.port) not in before)
        new, first = next(places, (0, None))
        if first is None:
            return Check(False, f"media of {element} reached {other} from no new place", element)
        back = any(a.dst.element == element for a in self._arrivals[new + 1 :])
        what = f"media of {element} reach {other} from a new place, and {'come' if back else 'none come'} back"
        return Check(back, what, "" if back else other, first.frame)

    def sees(self, receiver: str, kind: str, *, of: str) -> Check:
        """In the end `receiver` gets media from a candidate of this type of the other side."""
        seen = self.candidate(of, seen_by=receiver)
        what = f"{receiver} gets media from {f'a {seen} candidate of' if seen else 'no candidate of'} {of}"
        return Check(seen == kind, what if seen == kind else f"{what}, not from a {kind} candidate", of)

    def relayed(self, by: str, *, to: str) -> Check:
        """Every RTP packet that reached `to` came from the relay `by` (RFC 8656 §3.1), the first as well as the last. EvidenceError where
        none reached it."""
        self._directory.element(by)
        arrived = [arrival for arrival in self._arrivals if arrival.dst.element == to]
        if not arrived:
            raise EvidenceError(f"no RTP packet that reached {to} captured", remedy="look at capture.pcapng")
        for arrival in arrived:
            if arrival.src.element != by:
                return Check(False, f"RTP reached {to} from {arrival.src}, not from {by}", arrival.src.name, arrival.frame)
        return Check(True, f"all {len(arrived)} RTP packets that reached {to} came from {by}")

    def no_media_at(self, element: str) -> Check:
        """No RTP packet reached this element in the end: before a pair is nominated, media may go by a default one (RFC 8445 §12.1).
        EvidenceError where there were no media at all."""
        if not self._arrivals:
            raise EvidenceError("no RTP packet captured", remedy="look at capture.pcapng")
        self._directory.element(element)
        for arrival in self._arrivals[-_SETTLED:]:
            if arrival.dst.element == element:
                return Check(False, f"RTP reached {element} from {arrival.src}", arrival.src.element, arrival.frame)
        return Check(True, f"no RTP reached {element}")

    def between(self, one: str, other: str, expected: tuple[str, str] | None) -> Check:
        """Media run between candidates of the expected types, that of `one` first; where None is expected, through a relay."""
        seen = self.candidate(one, seen_by=other), self.candidate(other, seen_by=one)
        for sender, receiver, kind in ((one, other, seen[0]), (other, one, seen[1])):
            if not kind:
                return Check(False, f"no media of {sender} reached {receiver}", sender)
        if expected is None:
            return Check(bool({"relay", "own-relay"} & set(seen)), f"media run between {seen[0]} and {seen[1]}, a relay is needed", one)
        what = f"media run between {seen[0]} of {one} and {seen[1]} of {other}"
        return Check(seen == expected, what if seen == expected else f"{what}, not {expected[0]} and {expected[1]}", one)


_SETTLED = 100
"""RTP packets, the last of a scenario, by which its path is judged: a second of a call both ways."""


def _identity(message: SipMessage) -> tuple[str, str, int | None]:
    """What an ALG has no reason to change."""
    return message.branch, message.method, message.cseq


def keep_alives(frames: Iterable[Frame], directory: Directory, element: str) -> list[float]:
    """When (seconds since the epoch) an element has sent datagrams that keep a binding alive to where SIP is spoken: STUN Binding requests
    (RFC 5626 §3.5.2), or CRLF, or zero bytes as some do over UDP.
    """
    found = ((frame.time, udp(frame.data)) for frame in frames)
    sent = ((time, f[4]) for time, f in found if f and f[3] in _SIP_PORTS and directory.endpoint(*f[:2]).element == element)
    return [time for time, data in sent if data[:2] == _BINDING or not data.strip(b"\r\n\0")]


def _arrivals(frames: Iterable[Frame], directory: Directory) -> Iterator[Arrival]:
    for frame in sorted(frames, key=lambda frame: frame.time):
        found = udp(frame.data)
        if not found or NOT_MEDIA.intersection((found[1], found[3])):
            continue
        inner = _relayed(found[4])
        if is_rtp(found[4] if inner is None else inner):
            src, dst = directory.endpoint(*found[:2]), directory.endpoint(*found[2:4])
            yield Arrival(frame.number, src, dst, inner is not None)


def _relayed(data: bytes) -> bytes | None:
    """What a relay passes on to its client in ChannelData (RFC 8656 §12.4) or in a Data indication; None of anything else."""
    if len(data) >= 4 and 0x40 <= data[0] <= 0x4F:
        return data[4 : 4 + int.from_bytes(data[2:4], "big")]
    if not data.startswith(_TURN_DATA):
        return None
    rest = data[20:]
    while len(rest) >= 4:
        kind, length = int.from_bytes(rest[:2], "big"), int.from_bytes(rest[2:4], "big")
        if kind == _DATA_ATTRIBUTE:
            return rest[4 : 4 + length]
        rest = rest[4 + (length + 3) // 4 * 4 :]
    return None

"""RTP flows of a scenario, and the proof of how they were protected."""

from __future__ import annotations

import copy
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import dpkt
import numpy as np

from lab.errors import EvidenceError
from lab.evidence.audio import decode_g711
from lab.evidence.check import Check
from lab.evidence.directory import Directory, Endpoint
from lab.evidence.dtls import Place
from lab.evidence.dtls_proof import DtlsProof, Secrets
from lab.evidence.dtls_reader import Handshakes
from lab.evidence.negotiation import Negotiation
from lab.evidence.pcapng import Frame
from lab.evidence.sdp import Crypto
from lab.evidence.signalling import Signalling
from lab.evidence.sound import Sound
from lab.evidence.srtp import Authenticator, authenticator

NOT_MEDIA = {53, 514, 5060}
"""Ports of DNS, of the capture's marker frames and of SIP: a datagram there is no RTP, however it begins."""
_RTCP = range(192, 224)
_DIGITS = "0123456789*#ABCD"
_AUDIBLE_DBFS = -50.0
_FEWEST, _MANY = 16, 160
_NOISE_BITS = 7.5  # bits of entropy per byte: a tone in G.711 has about 5.6, SRTP about 8


@dataclass(frozen=True)
class Packet:
    """One RTP or SRTP packet."""

    frame: int
    time: float
    data: bytes


@dataclass(frozen=True)
class Flow:
    """Packets of one SSRC from one endpoint to another on one bridge. `payload_type` is the most frequent one."""

    src: Endpoint
    dst: Endpoint
    interface: int
    ssrc: int
    packets: list[Packet] = field(default_factory=list, repr=False)

    @property
    def payload_type(self) -> int:
        """RTP payload type (RFC 3551): readable in SRTP too."""
        return Counter(packet.data[1] & 0x7F for packet in self.packets).most_common(1)[0][0]

    @property
    def name(self) -> str:
        """For messages."""
        return f"{self.src} → {self.dst} (SSRC {self.ssrc:08x})"

    def until(self, time: float) -> Flow:
        """What of it came before that instant."""
        return replace(self, packets=[packet for packet in self.packets if packet.time < time])

    def payload(self) -> bytes:
        """Payloads of the main payload type, one after the other, as if it were plain RTP (RFC 3550 §5.1)."""
        kind = self.payload_type
        return b"".join(_payload(packet.data) for packet in self.packets if packet.data[1] & 0x7F == kind)


@dataclass(frozen=True)
class Authentication:
    """How many packets of a flow the negotiated key opened. `first_bad` is the first frame that it did not."""

    flow: Flow
    suite: str
    authentic: int
    total: int
    first_bad: int | None

    @property
    def all(self) -> bool:
        """Every packet, and at least one."""
        return 0 < self.authentic == self.total


class Media:
    """The flows between two marks. Assertions raise EvidenceError where there is nothing to judge."""

    def __init__(self, frames: Iterable[Frame], signalling: Signalling, directory: Directory, secrets: Secrets = dict) -> None:
        handshakes, self._directory, self._signalling = Handshakes(), directory, signalling
        self.flows: Sequence[Flow] = tuple(_flows(frames, directory, handshakes))
        self._negotiation = Negotiation(signalling)
        self._dtls = DtlsProof(handshakes, self._negotiation, secrets)
        self._about = "in this scenario"

    def on(self, network: str) -> Media:
        """The flows that were seen on this network."""
        narrowed = copy.copy(self)
        narrowed.flows = tuple(flow for flow in self.flows if flow.interface == self._directory.interface(network))
        narrowed._about = f"on {network}"
        return narrowed

    def of(self, element: str) -> Media:
        """The flows that this element sends or receives, for what is to be said of one leg only."""
        part = copy.copy(self)
        part.flows = tuple(flow for flow in self.flows if element in (flow.src.element, flow.dst.element))
        return part

    def from_(self, element: str) -> tuple[Flow, ...]:
        """Flows that this element sent."""
        return tuple(flow for flow in self.flows if flow.src.element == element)

    def authenticate(self, flow: Flow, keys: Sequence[Crypto] | None = None) -> Authentication:
        """Try the keys that the flow's sender negotiated, or `keys` (a negative control), on every packet of it."""
        cryptos = self._keys(flow) if keys is None else tuple(keys)
        judges = [(crypto.suite, authenticator(crypto)) for crypto in cryptos]
        good, first_bad, suite, seen = 0, None, "", set[bytes]()
        for packet in flow.packets:
            match = "again" if packet.data in seen else _match(judges, packet.data)
            if match:
                good, suite = good + 1, suite if match == "again" else match
                seen.add(packet.data)
            elif first_bad is None:
                first_bad = packet.frame
        return Authentication(flow, suite, good, len(flow.packets), first_bad)

    def _evidence(self) -> Sequence[Flow]:
        if not self.flows:
            raise EvidenceError(f"no RTP packet captured {self._about}", remedy="look at capture.pcapng")
        return self.flows

    def _keys(self, flow: Flow) -> tuple[Crypto, ...]:
        if self._negotiation.fingerprints(flow.src):
            return self._dtls.keys(flow.interface, flow.src, flow.dst)
        return self._negotiation.keys(flow.src)

    def all_srtp(self) -> Check:
        """Every packet of every flow authenticates with the key that its sender negotiated: in the (decrypted) SDP, or by a DTLS handshake
        in which both sides showed the certificates that their SDP announced.

        Where neither side logged the secrets of that handshake its packets cannot be authenticated. Then they must look random, and the
        answer says so.
        """
        total, hidden, suites = 0, 0, set[str]()
        for flow in self._evidence():
            fault = self._unkeyed(flow)
            if fault is not None:
                return fault
            keys = self._keys(flow)
            if not keys and not _is_plain(flow):
                hidden += len(flow.packets)
                continue
            result = self.authenticate(flow, keys)
            if not result.all:
                kind = "plain RTP" if _is_plain(flow) else "not SRTP with the negotiated key"
                what = f"{flow.name}: {result.authentic} of {result.total} packets authenticate: {kind}"
                return Check(False, what, flow.src.name, result.first_bad)
            total, suites = total + result.total, suites | {result.suite}
        proven = [f"{total} packets authenticate ({', '.join(sorted(suites))})"] if total else []
        proven += [f"{hidden} packets look random; nobody logged the secrets of their DTLS handshakes"] if hidden else []
        return Check(True, f"{len(self.flows)} flows: {'; '.join(proven)}")

    def _unkeyed(self, flow: Flow) -> Check | None:
        """Why the sender of a flow had no right to send SRTP; None where it had."""
        frame = flow.packets[0].frame
        if self._negotiation.fingerprints(flow.src):
            fault = self._dtls.fault(flow.interface, flow.src, flow.dst)
            return None if fault is None else replace(fault, frame=fault.frame or frame)
        if not self._negotiation.keys(flow.src):
            return Check(False, f"{flow.src} sent RTP and had negotiated no SRTP key", flow.src.name, frame)
        if any("UNENCRYPTED_SRTP" in crypto.parameters.upper() for crypto in self._negotiation.keys(flow.src)):
            return Check(False, f"{flow.src} negotiated SRTP without encryption", flow.src.name, frame)
        return None

    def no_clear_rtp(self) -> Check:
        """No packet that could be RTP in clear. No media at all proves it as well: the capture itself is proven live by its marks."""
        return self.all_srtp() if self.flows else Check(True, "no RTP at all")

    def looks_random(self) -> Check:
        """No flow is readable as plain RTP: all that can be told where keys were agreed in the media path (RFC 6189)."""
        for flow in self._evidence():
            if _is_plain(flow):
                return Check(False, f"{flow.name} is plain RTP", flow.src.name, flow.packets[0].frame)
        return Check(True, f"{len(self.flows)} flows look random")

    def all_rtp(self) -> Check:
        """Every flow is plain RTP, and G.711 in it decodes to something audible."""
        for flow in self._evidence():
            frame = flow.packets[0].frame
            if self._negotiation.keys(flow.src) or self._negotiation.fingerprints(flow.src):
                return Check(False, f"{flow.src} negotiated SRTP", flow.src.name, frame)
            if not _is_plain(flow):
                return Check(False, f"{flow.name} is not readable as plain RTP", flow.src.name, frame)
            if flow.payload_type in (0, 8) and _level(flow) < _AUDIBLE_DBFS:
                return Check(False, f"{flow.name} decodes to silence ({_level(flow):.0f} dBFS)", flow.src.name, frame)
        return Check(True, f"{len(self.flows)} flows of plain RTP")

    def events(self, digits: str, *, source: str, destination: str) -> Check:
        """`source` sent exactly these digits to `destination` as telephone-events (RFC 4733 §2.3), each once however often repeated."""
        flows = self._across(source, destination)
        seen: dict[tuple[int, bytes], str] = {}
        frame = flows[0].packets[0].frame
        for flow in flows:
            kinds = self._negotiation.telephone_events(flow.src, flow.dst)
            for packet in flow.packets:
                payload = _payload(packet.data)
                if packet.data[1] & 0x7F in kinds and len(payload) >= 4 and payload[0] < len(_DIGITS):
                    frame = packet.frame
                    seen.setdefault((flow.ssrc, packet.data[4:8]), _DIGITS[payload[0]])
        sent = "".join(seen.values())
        what = f"{source} sent the telephone-events {sent or 'none'}, asked for {digits}"
        return Check(sent == digits, what, "" if sent == digits else source, frame)

    def certificate(self, *, source: str, destination: str) -> Check:
        """`source` showed `destination` its certificate in a DTLS handshake (RFC 5764 §4.1), whatever became of it. Of DTLS 1.3, which
        encrypts certificates, the server's hello is what shows."""
        for shown in self._dtls.shown():
            if (self._element(shown.source), self._element(shown.destination)) == (source, destination):
                return Check(True, f"{source} showed {destination} a certificate", frame=shown.frame)
        silent = ""
        for handshake in self._dtls.begun():
            client, server = self._element(handshake.client), self._element(handshake.server)
            if {client, server} == {source, destination}:
                silent = source if handshake.server_random else server
        return Check(False, f"{source} showed {destination} no certificate in a DTLS handshake", silent)

    def _element(self, place: Place) -> str:
        return self._directory.endpoint(*place).element

    def none(self, by: str = "") -> Check:
        """Not one RTP packet (sent by element `by`)."""
        flows = self.from_(self._directory.element(by)) if by else self.flows
        if not flows:
            return Check(True, f"no RTP {f'from {by}' if by else 'at all'}")
        first = flows[0]
        return Check(False, f"RTP flowed: {first.name}, {len(first.packets)} packets", first.src.name, first.packets[0].frame)

    def only_between(self, one: str, other: str) -> Check:
        """All media are between these two elements, and flow both ways: the path that an intermediary anchors (RFC 5853 §3.2)."""
        for flow in self._evidence():
            if {flow.src.element, flow.dst.element} != {one, other}:
                return Check(False, f"RTP {self._about} not between {one} and {other}: {flow.name}", flow.src.name, flow.packets[0].frame)
        return self.both_ways(one, other)

    def announced_at(self, element: str, *, to: str) -> Check:
        """Every session description that reached `to` asks for its media at `element`, which has anchored them (RFC 5853 §3.2)."""
        described = [(m, media) for m in self._signalling.received_by(to) if m.sdp for media in m.sdp.media if media.port]
        if not described:
            raise EvidenceError(f"no session description that reached {to} captured {self._about}", remedy="look at capture.pcapng")
        for message, media in described:
            if self._directory.host(media.address) != element:
                what = f"{message.label} to {to} asks for media at {media.address}:{media.port}, not at {element}"
                return Check(False, what, message.src.name, message.frame)
        return Check(True, f"{len(described)} descriptions to {to} ask for media at {element}")

    def sound(self, source: str, destination: str) -> Sound:
        """What `source` said to `destination`, in G.711 and in clear: EvidenceError where it was something else, or nothing."""
        flows = self._across(source, destination)
        for flow in flows:
            if flow.payload_type not in (0, 8) or not _is_plain(flow):
                raise EvidenceError(f"{flow.name} cannot be heard: payload type {flow.payload_type}, or encrypted")
        audio = [decode_g711(flow.payload(), alaw=flow.payload_type == 8) for flow in flows]
        return Sound(source, destination, np.concatenate(audio), flows[0].packets[0].frame)

    def _across(self, source: str, destination: str) -> list[Flow]:
        flows = [flow for flow in self._evidence() if (flow.src.element, flow.dst.element) == (source, destination)]
        if not flows:
            raise EvidenceError(f"no RTP packet captured from {source} to {destination}")
        return sorted(flows, key=lambda flow: flow.packets[0].frame)

    def reached(self, sender: str, receiver: str) -> Check:
        """Media of `sender` came to `receiver`; the blame is on the sender, who alone knows where it sends."""
        flows = [flow for flow in self._evidence() if flow.src.element == sender]
        if any(flow.dst.element == receiver for flow in flows):
            return Check(True, f"RTP from {sender} reached {receiver}")
        elsewhere = ", ".join(sorted({flow.dst.name for flow in flows})) or "nobody"
        return Check(False, f"no RTP from {sender} reached {receiver} (it sent to {elsewhere})", sender)

    def both_ways(self, one: str, other: str) -> Check:
        """Both elements sent media."""
        senders = {flow.src.element for flow in self._evidence()}
        silent = [name for name in (one, other) if name not in senders]
        return Check(
            not silent, f"{' and '.join(silent)} sent no RTP" if silent else f"{one} and {other} both sent RTP", "".join(silent[:1])
        )


def _match(judges: list[tuple[str, Authenticator]], data: bytes) -> str:
    for position, (suite, judge) in enumerate(judges):
        if judge.authentic(data):
            judges.insert(0, judges.pop(position))
            return suite
    return ""


def _flows(frames: Iterable[Frame], directory: Directory, handshakes: Handshakes) -> list[Flow]:
    flows: dict[tuple[int, str, int, str, int, int], Flow] = {}
    for frame in frames:
        found = udp(frame.data)
        if not found or NOT_MEDIA.intersection((found[1], found[3])):
            continue
        src, sport, dst, dport, data = found
        handshakes.feed(frame.interface, (src, sport), (dst, dport), frame.number, data)
        if not is_rtp(data):
            continue
        key = (frame.interface, src, sport, dst, dport, int.from_bytes(data[8:12], "big"))
        if key not in flows:
            flows[key] = Flow(directory.endpoint(src, sport), directory.endpoint(dst, dport), frame.interface, key[5])
        flows[key].packets.append(Packet(frame.number, frame.time, data))
    return list(flows.values())


def udp(data: bytes) -> tuple[str, int, str, int, bytes] | None:
    """Source and destination, each address and port, and the payload of a datagram; None of anything else."""
    try:
        ip = dpkt.ethernet.Ethernet(data).data
    except (dpkt.UnpackError, ValueError, IndexError):
        return None
    if not isinstance(ip, dpkt.ip.IP | dpkt.ip6.IP6) or not isinstance(ip.data, dpkt.udp.UDP):
        return None
    return dpkt.utils.inet_to_str(ip.src), ip.data.sport, dpkt.utils.inet_to_str(ip.dst), ip.data.dport, bytes(ip.data.data)


def is_rtp(data: bytes) -> bool:
    """Version 2 and no RTCP (RFC 5761 §4); STUN and DTLS begin with smaller bytes (RFC 7983)."""
    return len(data) >= 12 and data[0] >> 6 == 2 and data[1] not in _RTCP


def _payload(data: bytes) -> bytes:
    start = 12 + 4 * (data[0] & 0x0F)
    if data[0] & 0x10 and len(data) >= start + 4:
        start += 4 + 4 * int.from_bytes(data[start + 2 : start + 4], "big")
    return data[start:]


def _is_plain(flow: Flow) -> bool:
    """Less entropy than as many random bytes have, by a margin: they show 8 bits as somewhat less (Miller and Madow's estimate), and few
    of them, which are nearly all different, the logarithm of their number. Fewer still cannot be told from noise, and are not taken for it.
    """
    payload = flow.payload()
    size = len(payload)
    if size < _FEWEST:
        return True
    entropy = -sum(n / size * math.log2(n / size) for n in Counter(payload).values())
    random = 8 - 255 / (2 * size * math.log(2)) - 0.5 if size >= _MANY else math.log2(size) - 1
    return entropy < min(_NOISE_BITS, random)


def _level(flow: Flow) -> float:
    samples = decode_g711(flow.payload(), alaw=flow.payload_type == 8)
    rms = float(np.sqrt(np.mean(samples**2))) if len(samples) else 0.0
    return 20 * math.log10(max(rms, 1e-9))

"""One audio stream: a tone out, what is heard in, 20 ms at a time, in clear or as SRTP. The DTLS handshake is on its port too."""

from __future__ import annotations

import asyncio
import functools
import math
import secrets
import socket
from array import array
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from . import g711
from .dtls import Association, Terms, is_dtls
from .fault import TransportError
from .inband import Detector, sound
from .rtp import SAMPLES, Event, Packet, events_of
from .srtp import SrtpPair

FRAME = 0.02
PREFILL = 3
"""Frames that must have come before they are played: 60 ms against jitter."""
MOST = 50
"""Frames that wait to be played: who sends more than a second ahead of the clock loses the oldest."""
GAP = 5
"""Frames of audio between two digits."""
AMPLITUDE = 12000
EARLY = 16
"""Datagrams of a handshake that are kept until the answer is there."""


@functools.cache
def tone(codec: str, hz: int) -> tuple[bytes, ...]:
    """One second of a tone in 50 payloads; a whole number of Hz makes it loop without a click. 0 Hz is silence."""
    step = 2 * math.pi * hz / 8000
    pcm = array("h", (round(AMPLITUDE * math.sin(step * n)) for n in range(8000))).tobytes()
    data = g711.encode(codec, pcm)
    return tuple(data[n : n + SAMPLES] for n in range(0, len(data), SAMPLES))


@dataclass(frozen=True)
class Agreed:
    """What offer and answer came to. `digits` is the payload type of telephone-event as the other side knows it, `digits_here` as this side
    does (RFC 3264 §5.1), `sending` also where the remote is nowhere.

    `protection` are the keys of SRTP, or the terms of the handshake that makes them; None is clear RTP.
    """

    remote: tuple[str, int]
    codec: str
    payload_type: int
    digits: int | None
    digits_here: int | None
    sending: bool
    receiving: bool
    protection: SrtpPair | Terms | None


class MediaStream:
    """A socket with a clock. `heard` gets PCM, also silence where nothing comes; `digit` gets every digit once.

    `on_keyed` is called when a handshake has made the keys, `on_failed` when it cannot: then nothing is sent or heard.
    """

    def __init__(self, host: str, ports: tuple[int, int], heard: Callable[[bytes], None], digit: Callable[[str], None]) -> None:
        self.hz = 0
        self.muted = False
        self.clear = False
        """Send in clear whatever was agreed: a misbehaviour."""
        self.sent = self.received = 0
        self.on_keyed: Callable[[], None] = lambda: None
        self.on_failed: Callable[[str], None] = lambda _: None
        self._heard, self._digit = heard, digit
        self._socket = _bind(host, ports)
        self.port: int = self._socket.getsockname()[1]
        self._agreed: Agreed | None = None
        self._srtp: SrtpPair | None = None
        self._association: Association | None = None
        self._early: deque[bytes] = deque(maxlen=EARLY)
        self._ssrc, self._sequence = secrets.randbits(32), secrets.randbits(15)
        self._timestamp, self._frame = secrets.randbits(31), 0
        self._queue: deque[bytes] = deque(maxlen=MOST)
        self._begun = b""
        """Of a frame that the next packet completes: packets need not be of 20 ms."""
        self._playing = False
        self._outgoing: deque[tuple[Event, int] | None] = deque()
        self._sounds: deque[bytes] = deque()
        self._detector: Detector | None = None
        self._pending = ""
        self._last_event = -1
        self._last_sequence = -1
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._socket, self._readable)
        self._due = self._loop.time()
        self._timer = self._loop.call_soon(self._tick)

    def agree(self, agreed: Agreed) -> None:
        """From now on like this. A handshake with the same peer is not made again (RFC 8842 §5.5)."""
        before, self._agreed = self._agreed, agreed
        if not isinstance(agreed.protection, Terms):
            self._srtp = agreed.protection
        elif before is None or (before.remote, before.protection) != (agreed.remote, agreed.protection):
            self._shake_hands(agreed.protection)

    @property
    def ready(self) -> bool:
        """Media can flow: all is agreed, and keys that were promised are there."""
        return self._agreed is not None and (self._srtp is not None or self._agreed.protection is None)

    def _shake_hands(self, terms: Terms) -> None:
        self._srtp = None
        if self._association:
            self._association.close()
        self._association = Association(terms, self._send_datagram, self._keyed, self.on_failed)
        while self._early:
            self._association.receive(self._early.popleft())

    def _keyed(self, pair: SrtpPair) -> None:
        self._srtp = pair
        self.on_keyed()

    def inband(self) -> None:
        """Digits are sound, in both directions."""
        self._detector = Detector()

    def press(self, digits: str) -> None:
        """Send digits, after those that are still to be sent."""
        self._pending += digits

    def close(self) -> None:
        """Stop and free the port."""
        self._timer.cancel()
        if self._association:
            self._association.close()
        self._loop.remove_reader(self._socket)
        self._socket.close()

    def _tick(self) -> None:
        """Once per 20 ms of the clock, however late the loop calls."""
        while self._due <= self._loop.time():
            self._due += FRAME
            self._play()
            if self._agreed and self._agreed.sending and (self.ready or self.clear):
                self._send(self._agreed)
            self._timestamp += SAMPLES
            self._frame = (self._frame + 1) % 50
        self._timer = self._loop.call_at(self._due, self._tick)

    def _send(self, agreed: Agreed) -> None:
        event = self._next_event(agreed)
        if event is not None:
            what, begun = event
            packet = Packet(agreed.digits or 0, self._sequence, begun, self._ssrc, bytes(what), what.duration == SAMPLES)
        else:
            payload = self._next_sound(agreed) or tone(agreed.codec, 0 if self.muted else self.hz)[self._frame]
            packet = Packet(agreed.payload_type, self._sequence, self._timestamp, self._ssrc, payload, self.sent == 0)
        self._sequence = (self._sequence + 1) & 0xFFFF
        data = bytes(packet)
        if self._srtp and not self.clear:
            data = self._srtp.protect(data)
        self._send_datagram(data)
        self.sent += 1

    def _send_datagram(self, data: bytes) -> None:
        try:
            self._socket.sendto(data, self._agreed.remote if self._agreed else ("", 0))
        except OSError:
            return  # nobody listens there yet, or the buffer is full: RTP does not repeat, DTLS does

    def _next_event(self, agreed: Agreed) -> tuple[Event, int] | None:
        """The telephone-event packet of this frame with the timestamp of its beginning (RFC 4733 §2.2), or None for audio."""
        if self._pending and agreed.digits is not None and not self._outgoing:
            digit, self._pending = self._pending[0], self._pending[1:]
            self._outgoing.extend((event, self._timestamp) for event in events_of(digit))
            self._outgoing.extend([None] * GAP)
        return self._outgoing.popleft() if self._outgoing else None

    def _next_sound(self, agreed: Agreed) -> bytes:
        """This frame of a digit that is sent as sound; empty where none is."""
        if self._detector and self._pending and not self._sounds:
            digit, self._pending = self._pending[0], self._pending[1:]
            self._sounds.extend(sound(agreed.codec, digit))
        return self._sounds.popleft() if self._sounds else b""

    def _readable(self) -> None:
        while True:
            try:
                data = self._socket.recv(2048)
            except BlockingIOError:
                return
            except OSError:
                continue  # an ICMP error of an earlier packet
            self._receive(data)

    def _receive(self, data: bytes) -> None:
        agreed = self._agreed
        if is_dtls(data):
            self._shake(data)
        if not Packet.parse(data) or agreed is None or not self.ready:
            return
        plain = self._srtp.unprotect(data) if self._srtp else data
        packet = Packet.parse(plain) if plain else None
        if packet is None:
            return
        self.received += 1
        if packet.payload_type == agreed.digits_here:
            self._event(packet)
        elif packet.payload_type == agreed.payload_type and agreed.receiving:
            if packet.sequence != self._last_sequence:
                self._collect(g711.decode(agreed.codec, packet.payload))
            self._last_sequence = packet.sequence

    def _collect(self, pcm: bytes) -> None:
        pcm = self._begun + pcm
        whole = len(pcm) // (2 * SAMPLES) * 2 * SAMPLES
        self._queue.extend(pcm[n : n + 2 * SAMPLES] for n in range(0, whole, 2 * SAMPLES))
        self._begun = pcm[whole:]

    def _shake(self, datagram: bytes) -> None:
        """To the handshake; a flight can be faster than the answer that tells whom to expect."""
        if self._association:
            self._association.receive(datagram)
        else:
            self._early.append(datagram)

    def _event(self, packet: Packet) -> None:
        event = Event.parse(packet.payload)
        if event and packet.timestamp != self._last_event:
            self._last_event = packet.timestamp
            self._digit(event.digit)

    def _play(self) -> None:
        """One frame of what came, or silence."""
        if not self._playing:
            self._playing = len(self._queue) >= PREFILL
        if self._playing and self._queue:
            frame = self._queue.popleft()
            digit = self._detector.feed(frame) if self._detector else ""
            if digit:
                self._digit(digit)
            self._heard(frame)
            return
        self._playing = False
        self._heard(bytes(2 * SAMPLES))


def _bind(host: str, ports: tuple[int, int]) -> socket.socket:
    """An even port of the range (RFC 3550 §11), which nobody uses."""
    for port in range(ports[0] + ports[0] % 2, ports[1] + 1, 2):
        opened = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        opened.setblocking(False)
        try:
            opened.bind((host, port))
        except OSError:
            opened.close()
            continue
        return opened
    raise TransportError(f"no free RTP port on {host} among {ports[0]}-{ports[1]}")

"""RTP packets (RFC 3550 §5.1) and telephone-events in them (RFC 4733 §2.3)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

DIGITS = "0123456789*#ABCD"
SAMPLES = 160
"""Samples of 20 ms at 8 kHz."""
_HEADER = struct.Struct("!BBHII")


@dataclass(frozen=True)
class Packet:
    """One RTP packet without extensions."""

    payload_type: int
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes
    marker: bool = False

    def __bytes__(self) -> bytes:
        second = self.payload_type | (0x80 if self.marker else 0)
        return _HEADER.pack(0x80, second, self.sequence & 0xFFFF, self.timestamp & 0xFFFFFFFF, self.ssrc) + self.payload

    @classmethod
    def parse(cls, data: bytes) -> Packet | None:
        """None where it is no RTP: STUN, RTCP, or broken."""
        if len(data) < _HEADER.size or data[0] >> 6 != 2 or 192 <= data[1] <= 223:
            return None
        first, second, sequence, timestamp, ssrc = _HEADER.unpack_from(data)
        offset = _HEADER.size + 4 * (first & 0x0F)
        if first & 0x10:
            offset += 4 + 4 * int.from_bytes(data[offset + 2 : offset + 4], "big")
        end = len(data) - (data[-1] if first & 0x20 else 0)
        if end < offset:
            return None
        return cls(second & 0x7F, sequence, timestamp, ssrc, data[offset:end], bool(second & 0x80))


@dataclass(frozen=True)
class Event:
    """One telephone-event payload; `duration` in samples."""

    digit: str
    end: bool
    duration: int

    def __bytes__(self) -> bytes:
        return struct.pack("!BBH", DIGITS.index(self.digit), 10 | (0x80 if self.end else 0), self.duration)

    @classmethod
    def parse(cls, data: bytes) -> Event | None:
        """None for events that are no digits."""
        if len(data) < 4 or data[0] >= len(DIGITS):
            return None
        return cls(DIGITS[data[0]], bool(data[1] & 0x80), struct.unpack_from("!H", data, 2)[0])


def events_of(digit: str, frames: int = 8) -> Iterator[Event]:
    """The payloads of one digit, one per 20 ms: growing, then the end three times (RFC 4733 §2.5.1.4)."""
    for frame in range(1, frames):
        yield Event(digit, False, frame * SAMPLES)
    for _ in range(3):
        yield Event(digit, True, frames * SAMPLES)

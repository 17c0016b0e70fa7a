"""A walker over pcapng blocks (draft-ietf-opsawg-pcapng) that can be fed as the file grows, and can start at a byte offset."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from lab.errors import EvidenceError

_SECTION, _INTERFACE, _ENHANCED = 0x0A0D0D0A, 1, 6
_RESOLUTION = 9
_LARGEST = 16 * 1024 * 1024


@dataclass(frozen=True)
class Frame:
    """A captured packet. `number` is Wireshark's, `end` the file offset behind its block, `time` seconds since the epoch."""

    number: int
    end: int
    interface: int
    time: float
    data: bytes


@dataclass
class Walker:
    """Turns bytes into frames. `offset` and `count` say where it is; `copy` gives a second walker that goes on from here."""

    offset: int = 0
    count: int = 0
    resolutions: list[float] = field(default_factory=list)
    order: str = "<"
    _rest: bytes = b""

    def at(self, offset: int, count: int) -> Walker:
        """A walker for the same file from another place on."""
        return Walker(offset, count, list(self.resolutions), self.order)

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Every frame that is complete with `data`. EvidenceError where the bytes are no pcapng."""
        buffer, position = self._rest + data, 0
        try:
            while len(buffer) - position >= 12:
                length = self._length(buffer, position)
                if len(buffer) - position < length:
                    break
                block = buffer[position : position + length]
                position += length
                self.offset += length
                frame = self._block(block)
                if frame:
                    yield frame
        finally:
            self._rest = buffer[position:]

    def _length(self, buffer: bytes, position: int) -> int:
        if buffer[position : position + 4] == b"\n\r\r\n":
            self.order = "<" if buffer[position + 8 : position + 12] == b"\x4d\x3c\x2b\x1a" else ">"
        length: int = struct.unpack_from(self.order + "I", buffer, position + 4)[0]
        if length < 12 or length % 4 or length > _LARGEST:
            raise EvidenceError(f"the capture is damaged at byte {self.offset}: a block of {length} bytes")
        return length

    def _block(self, block: bytes) -> Frame | None:
        kind: int = struct.unpack_from(self.order + "I", block)[0]
        if kind == _SECTION:
            self.resolutions = []
        elif kind == _INTERFACE:
            self.resolutions.append(_resolution(block, self.order))
        elif kind == _ENHANCED:
            return self._frame(block)
        return None

    def _frame(self, block: bytes) -> Frame:
        interface, high, low, captured = struct.unpack_from(self.order + "4I", block, 8)
        if interface >= len(self.resolutions) or 28 + captured > len(block):
            raise EvidenceError(f"the capture is damaged before byte {self.offset}: a packet of interface {interface}, {captured} bytes")
        self.count += 1
        time = ((high << 32) | low) * self.resolutions[interface]
        return Frame(self.count, self.offset, interface, time, block[28 : 28 + captured])


def _resolution(block: bytes, order: str) -> float:
    position = 16
    while position + 4 <= len(block) - 4:
        code, length = struct.unpack_from(order + "2H", block, position)
        if code == _RESOLUTION and length == 1:
            value = block[position + 4]
            return float(2.0 ** -(value & 0x7F) if value & 0x80 else 10.0**-value)
        if code == 0:
            break
        position += 4 + (length + 3) // 4 * 4
    return 1e-6

"""Who fills the wire: a capture is bounded by what one element may send during one scenario."""

from __future__ import annotations

from collections import Counter

from lab.errors import AgentError
from lab.evidence.directory import Directory
from lab.evidence.pcapng import Frame

MOST_PACKETS, MOST_BYTES = 20_000, 32_000_000
"""Of one element during one scenario. A minute of RTP is 3,000 packets and 0.6 MB (20 ms, RFC 3551 §4.2)."""

_IPV4, _IPV6 = b"\x08\x00", b"\x86\xdd"


class FloodWatch:
    """Counts packets and bytes by sender."""

    def __init__(self, directory: Directory) -> None:
        self._senders = directory.packed()
        self._count: Counter[str] = Counter()
        self._bytes: Counter[str] = Counter()

    def lap(self) -> None:
        """A scenario begins: count from here."""
        self._count.clear()
        self._bytes.clear()

    def count(self, frame: Frame) -> None:
        """Take one packet in. AgentError where its sender has sent too many since `lap`."""
        element = self._senders.get(_sender(frame.data), "")
        self._count[element] += 1
        self._bytes[element] += len(frame.data)
        packets, size = self._count[element], self._bytes[element]
        if element and (packets > MOST_PACKETS or size > MOST_BYTES):
            raise AgentError(f"flooded the network: {packets} packets, {size / 1e6:.0f} MB during one scenario", element=element)


def _sender(data: bytes) -> bytes:
    """The packed source address of an Ethernet frame; empty where it carries no IP."""
    kind = data[12:14]
    return data[26:30] if kind == _IPV4 else data[22:38] if kind == _IPV6 else b""

"""What must not be readable anywhere on a wire: whom one network hides from another (RFC 5853 §3.1)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import ip_address

from lab.errors import EvidenceError
from lab.evidence.check import Check
from lab.evidence.directory import Directory
from lab.evidence.layout import clip, printable
from lab.evidence.media import udp
from lab.evidence.pcapng import Frame
from lab.evidence.signalling import Signalling

_ENDS = {b"\x08\x00": (slice(26, 30), slice(30, 34)), b"\x86\xdd": (slice(22, 38), slice(38, 54))}
"""EtherType of IPv4 and IPv6 -> where a frame has source and destination."""


class Octets:
    """All that crossed a network: SIP messages as their recipients read them, and packets as they are, RTCP and all else included."""

    def __init__(self, network: str, signalling: Signalling, frames: Sequence[Frame], directory: Directory) -> None:
        self._network, self._signalling, self._frames, self._directory = network, signalling, frames, directory

    def hide(self, network: str) -> Check:
        """No address of `network`, and no name of a host that is there and not here, is in any message or packet, or is a packet's own.

        EvidenceError where no SIP message was seen here, or where there is nothing to hide.
        """
        hidden = self._directory.only_on(network, seen_from=self._network)
        if not hidden:
            raise EvidenceError(f"{network} has nothing that {self._network} has not", remedy="are they the same network?")
        if not self._signalling:
            raise EvidenceError(f"no SIP message captured on {self._network}", remedy="look at capture.pcapng")
        pattern = _pattern(hidden)
        for found in (self._in_messages(pattern), self._in_packets(pattern), self._of_packets(hidden)):
            if found is not None:
                return found
        return Check(True, f"{len(self._signalling)} messages and {len(self._frames)} packets on {self._network} name nobody on {network}")

    def _in_messages(self, pattern: re.Pattern[bytes]) -> Check | None:
        for message in self._signalling:
            found = pattern.search(message.raw)
            if found:
                line = _line(message.raw, found.start())
                what = f"{message.label} from {message.src} to {message.dst} names {_text(found[0])}: {line}"
                return Check(False, what, message.src.name, message.frame)
        return None

    def _in_packets(self, pattern: re.Pattern[bytes]) -> Check | None:
        for frame in self._frames:
            found = pattern.search(frame.data)
            if found:
                ends = udp(frame.data)
                src = self._directory.endpoint(*ends[:2]) if ends else None
                what = f"a packet from {src or 'a stream'} on {self._network} names {_text(found[0])}"
                return Check(False, what, src.name if src else "", frame.number)
        return None

    def _of_packets(self, hidden: Sequence[str]) -> Check | None:
        """Packets from or to an address that is hidden."""
        packed = {address: element for address, element in self._directory.packed().items() if str(ip_address(address)) in hidden}
        for frame in self._frames:
            for end in _ENDS.get(frame.data[12:14], ()):
                if (address := frame.data[end]) in packed:
                    what = f"a packet on {self._network} is from or to {packed[address]} {ip_address(address)}"
                    return Check(False, what, packed[address], frame.number)
        return None


def _pattern(texts: Sequence[str]) -> re.Pattern[bytes]:
    """Any of these hosts, whole: 198.18.1.2 is not in 198.18.1.20, and pb.biloxi.example not in b.pb.biloxi.example.test."""
    any_of = b"|".join(re.escape(text.encode()) for text in sorted(texts, key=len, reverse=True))
    return re.compile(rb"(?<![0-9A-Za-z.-])(?:" + any_of + rb")(?![0-9A-Za-z-])(?!\.[0-9A-Za-z])", re.IGNORECASE)


def _line(raw: bytes, position: int) -> str:
    start = raw.rfind(b"\n", 0, position) + 1
    return clip(_text(raw[start:].split(b"\n", 1)[0]), 120)


def _text(raw: bytes) -> str:
    return printable(raw.decode("utf-8", "replace").strip())

"""Which IP version crossed a network: proof that a lab of one address family used no other."""

from __future__ import annotations

from collections.abc import Iterable

from lab.errors import EvidenceError
from lab.evidence.check import Check
from lab.evidence.directory import Directory
from lab.evidence.pcapng import Frame

_TYPES = {b"\x08\x00": 4, b"\x08\x06": 4, b"\x86\xdd": 6}  # IPv4, ARP, IPv6
_SENDER = {b"\x08\x00": slice(26, 30), b"\x08\x06": slice(28, 32), b"\x86\xdd": slice(22, 38)}
_MARKER = bytes.fromhex("025349504c42")  # the destination of the lab's own marker frames (images/helper/mark.py)


class Families:
    """The packets of elements, by IP version; ARP belongs to IPv4. The lab's own marker frames are not among them."""

    def __init__(self, frames: Iterable[Frame], directory: Directory, where: str) -> None:
        self._frames = [frame for frame in frames if frame.data[12:14] in _TYPES and frame.data[:6] != _MARKER]
        self._directory, self._where = directory, where

    def only(self, version: int) -> Check:
        """Every packet was of this IP version. EvidenceError where there was none at all."""
        if not self._frames:
            raise EvidenceError(f"no IP packet captured on {self._where}", remedy="look at capture.pcapng")
        names = self._directory.packed()
        for frame in self._frames:
            kind = frame.data[12:14]
            if _TYPES[kind] != version:
                sender = names.get(frame.data[_SENDER[kind]], "")
                return Check(False, f"{sender or 'a stranger'} used IPv{_TYPES[kind]} on {self._where}", sender, frame.number)
        return Check(True, f"all {len(self._frames)} packets on {self._where} were IPv{version}")

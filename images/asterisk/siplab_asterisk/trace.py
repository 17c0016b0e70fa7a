"""Asterisk's copy of every SIP message (HEP version 3, one UDP datagram each, on the loopback interface): where codes and SDP come from.

ARI tells states but neither the response codes of REGISTER, MESSAGE and re-INVITE nor what was negotiated.
"""

from __future__ import annotations

import ipaddress
import re
import socket
import struct
import threading
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from siplab_agent import log

ADDRESS = ("127.0.0.1", 9060)
_SOURCES, _PAYLOAD = (3, 5), 15
_COMPACT = {"i": "call-id", "f": "from", "t": "to", "m": "contact", "c": "content-type", "l": "content-length", "r": "refer-to"}


@dataclass(frozen=True)
class Message:
    """A SIP message as Asterisk sent (`sent`) or received it. Header names are lower case and long; the first of each counts."""

    sent: bool
    start: str
    headers: dict[str, str]
    body: str

    @property
    def status(self) -> int | None:
        """Status code of a response."""
        return int(self.start.split(" ", 2)[1]) if self.start.startswith("SIP/2.0 ") else None

    @property
    def reason(self) -> str:
        """Reason phrase of a response."""
        return self.start.split(" ", 2)[-1]

    @property
    def method(self) -> str:
        """Of the request, or of the request that is answered."""
        return self.headers.get("cseq", "").partition(" ")[2].strip()

    @property
    def call_id(self) -> str:
        """The dialog's, or the registration's, constant identifier."""
        return self.headers.get("call-id", "")

    def tag(self, header: str) -> str:
        """Of From or To; "" where it has none yet."""
        found = re.search(r";\s*tag=([^;\s>]+)", self.headers.get(header, ""))
        return found[1] if found else ""

    def uri(self, header: str) -> str:
        """The URI in a header field, without its brackets."""
        value = self.headers.get(header, "")
        found = re.search(r"<([^>]*)>", value)
        return found[1] if found else value.partition(";")[0].strip()


def parse(text: str, *, sent: bool) -> Message:
    """A message out of its text; ValueError where it has no start line."""
    head, _, body = text.partition("\r\n\r\n")
    start, *lines = re.sub(r"\r\n[ \t]+", " ", head).split("\r\n")
    if " " not in start:
        raise ValueError(f"no SIP message: {start[:60]!r}")
    headers: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        name = name.strip().lower()
        headers.setdefault(_COMPACT.get(name, name), value.strip())
    return Message(sent, start, headers, body)


def unpack(datagram: bytes, own: Collection[str]) -> Message:
    """The message in one HEP datagram; `own` addresses are the element's."""
    chunks = dict(_chunks(datagram))
    sources = [str(ipaddress.ip_address(chunks[kind])) for kind in _SOURCES if kind in chunks]
    return parse(chunks[_PAYLOAD].decode("utf-8", "replace"), sent=bool(set(sources) & set(own)))


def _chunks(datagram: bytes) -> Iterator[tuple[int, bytes]]:
    if datagram[:4] != b"HEP3":
        raise ValueError("no HEP version 3")
    at = 6
    while at + 6 <= len(datagram):
        _, kind, length = struct.unpack_from(">HHH", datagram, at)
        if length < 6:
            raise ValueError("HEP chunk without a length")
        yield kind, datagram[at + 6 : at + length]
        at += length


class Trace:
    """Receives the copies and hands them to `on_message`, on a thread of its own, in order."""

    def __init__(self, own: Collection[str], on_message: Callable[[Message], None]) -> None:
        self._own = own
        self._on_message = on_message
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(ADDRESS)

    def listen(self) -> None:
        """Receive from now on; what came before waits in the socket."""
        threading.Thread(target=self._receive, name="trace", daemon=True).start()

    def _receive(self) -> None:
        while True:
            datagram = self._socket.recv(65535)
            try:
                self._on_message(unpack(datagram, self._own))
            except (KeyError, ValueError) as error:
                log(f"trace: cannot read {datagram[:80]!r}: {error}")

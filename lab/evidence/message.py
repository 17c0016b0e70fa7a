"""SIP messages as they crossed a wire, read leniently: a malformed message is evidence too, and never raises."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from lab.evidence.captured import Captured
from lab.evidence.directory import Endpoint
from lab.evidence.sdp import Sdp

_COMPACT = {
    "a": "accept-contact", "b": "referred-by", "c": "content-type", "e": "content-encoding", "f": "from", "i": "call-id", "k": "supported",
    "l": "content-length", "m": "contact", "o": "event", "r": "refer-to", "s": "subject", "t": "to", "u": "allow-events", "v": "via",
    "x": "session-expires", "y": "identity",
}  # fmt: skip
_LISTS = {"via", "route", "record-route", "contact", "path", "service-route", "allow", "supported", "require", "p-asserted-identity"}
START_LINE = re.compile(rb"(SIP/\d\.\d [1-6]\d\d[^\r\n]*|[!-~]+ [^\r\n]+ SIP/\d\.\d)\r?\n")

Step = str | int
"""A method, or the code of a response."""
CHALLENGES = (401, 407)
"""Responses that ask for credentials (RFC 3261 §22)."""
MANDATORY = ("Via", "From", "To", "Call-ID", "CSeq")


@dataclass(frozen=True)
class SipMessage(Captured):
    """One message on one hop. `transport` is udp, tcp or tls, `raw` the decrypted, reassembled bytes.

    `network` is the one that it was seen on, whatever its addresses say: an element on two networks can send from the wrong one. `surplus`
    counts the bytes of a datagram behind the end that Content-Length names, which its recipient discards (RFC 3261 §18.3).
    """

    src: Endpoint
    dst: Endpoint
    transport: str
    raw: bytes
    network: str = ""
    surplus: int = 0

    def __repr__(self) -> str:
        return f"<frame {self.frame} {self.label} {self.src.name} → {self.dst.name} {self.transport}>"

    @cached_property
    def _head(self) -> tuple[str, tuple[tuple[str, str], ...]]:
        text = re.split(rb"\r?\n\r?\n", self.raw, maxsplit=1)[0].decode("utf-8", "replace")
        first, _, rest = re.sub(r"\r?\n[ \t]+", " ", text).partition("\n")
        pairs = (line.partition(":") for line in rest.splitlines())
        return first.strip(), tuple((_long(name), value.strip()) for name, _, value in pairs)

    @property
    def start_line(self) -> str:
        """Request line or status line."""
        return self._head[0]

    @property
    def is_request(self) -> bool:
        """Not a response (whose first word is SIP/2.0)."""
        return not self.start_line.startswith("SIP/")

    @property
    def status(self) -> int | None:
        """A response's code; None for a request."""
        words = self.start_line.split()
        return _number(words[1]) if not self.is_request and len(words) > 1 else None

    @property
    def reason(self) -> str:
        """A response's reason phrase."""
        return "" if self.is_request else " ".join(self.start_line.split()[2:])

    @property
    def method(self) -> str:
        """The request's method; of a response the CSeq's (RFC 3261 §8.1.1.5)."""
        words = self.start_line.split() if self.is_request else self.header("CSeq").split()[1:]
        return words[0] if words else ""

    @property
    def uri(self) -> str:
        """The Request-URI; empty in a response."""
        words = self.start_line.split()
        return words[1] if self.is_request and len(words) > 1 else ""

    def part(self, name: str) -> str:
        """The first header of this name, or the `Request-URI`, or the `body` as text."""
        if name == "body":
            return self.body.decode("utf-8", "replace").strip()
        return self.uri if name == "Request-URI" else self.header(name)

    @property
    def label(self) -> str:
        """What a ladder writes on the arrow: `INVITE`, `180 Ringing (INVITE)`."""
        return self.method if self.is_request else f"{self.status or '???'} {self.reason} ({self.method})"

    def header(self, name: str) -> str:
        """The first header of that name as it stands, or an empty string. Compact forms are known (RFC 3261 §7.3.3)."""
        return next((value for key, value in self._head[1] if key == _long(name)), "")

    def header_values(self, name: str) -> tuple[str, ...]:
        """All values of a header in order; list headers are split at their commas (RFC 3261 §7.3.1)."""
        lines = [value for key, value in self._head[1] if key == _long(name)]
        if _long(name) not in _LISTS:
            return tuple(lines)
        return tuple(part for line in lines for part in _split(line))

    @property
    def call_id(self) -> str:
        """Call-ID, or an empty string."""
        return self.header("Call-ID")

    @property
    def cseq(self) -> int | None:
        """The sequence number."""
        words = self.header("CSeq").split()
        return _number(words[0]) if words else None

    @property
    def flaw(self) -> str:
        """What allows anybody to drop it in silence: the first mandatory header that it lacks (RFC 3261 §8.1.1). Empty where it has all."""
        return next((f"no valid {name}" for name in MANDATORY if not self.header(name) or (name == "CSeq" and self.cseq is None)), "")

    @property
    def branch(self) -> str:
        """The topmost Via's branch: the transaction (RFC 3261 §17.1.3)."""
        return _parameter(next(iter(self.header_values("Via")), ""), "branch")

    @property
    def to_tag(self) -> str:
        """Empty outside a dialog."""
        return _parameter(self.header("To").rpartition(">")[2] or self.header("To"), "tag")

    @property
    def body(self) -> bytes:
        """All after the empty line."""
        parts = re.split(rb"\r?\n\r?\n", self.raw, maxsplit=1)
        return parts[1] if len(parts) > 1 else b""

    @cached_property
    def sdp(self) -> Sdp | None:
        """The session description, also out of a multipart body (RFC 5621)."""
        kind = self.header("Content-Type").lower()
        if "application/sdp" not in kind and not kind.startswith("multipart/"):
            return None
        found = re.search(rb"(?:^|\n)(v=0\r?\n.*?)(?:\r?\n--|\Z)", self.body, re.DOTALL)
        return Sdp(found[1].decode("utf-8", "replace")) if found else None


def via_host(value: str) -> str:
    """Host of a Via's sent-by (RFC 3261 §20.42)."""
    match = re.match(r"SIP\s*/\s*[\d.]+\s*/\s*\S+\s+(\[[^\]]*\]|[^:;\s]+)", value, re.IGNORECASE)
    return match[1] if match else ""


def uri_host(value: str) -> str:
    """Host of the first SIP or SIPS URI in a header value."""
    match = re.search(r"sips?:(?:[^@>\s]*@)?(\[[^\]]*\]|[^:;>?\s]+)", value, re.IGNORECASE)
    return match[1] if match else ""


def uri_user(value: str) -> str:
    """User part of the first SIP or SIPS URI in a header value; empty where it has none."""
    match = re.search(r"sips?:([^@>;\s]+)@", value, re.IGNORECASE)
    return match[1] if match else ""


def trim(raw: bytes) -> bytes:
    """One message out of a stream's bytes: leading CRLFs off (RFC 3261 §7.5), cut where Content-Length says that it ends."""
    raw = raw.lstrip(b"\r\n")
    end = re.search(rb"\r?\n\r?\n", raw)
    length = re.search(rb"\n(?:content-length|l)[ \t]*:[ \t]*(\d{1,9})[ \t]*\r?\n", raw[: end.end()] if end else b"", re.IGNORECASE)
    return raw[: end.end() + int(length[1])] if end and length else raw


def _number(text: str) -> int | None:
    """A number of the field's size (RFC 3261 §8.1.1.5: below 2**31); None for anything longer or else."""
    return int(text) if text.isdecimal() and len(text) <= 10 else None


def _long(name: str) -> str:
    low = name.strip().lower()
    return _COMPACT.get(low, low)


def _split(line: str) -> list[str]:
    parts = re.findall(r'(?:"(?:\\.|[^"\\])*"|<[^>]*>|[^,"<]|["<])+', line)
    return [part.strip() for part in parts if part.strip()]


def _parameter(value: str, name: str) -> str:
    match = re.search(rf";\s*{name}\s*=\s*([^;,\s]+)", value, re.IGNORECASE)
    return match[1] if match else ""


def says_transport(route: str, transport: str) -> bool:
    """Does this URI say that its host is to be reached over that transport?"""
    low = route.lower()
    return f"transport={transport}" in low or (transport == "tls" and "sips:" in low)


def is_step(message: SipMessage, step: Step) -> bool:
    """A request of that method, or a response with that code."""
    return message.status == step if isinstance(step, int) else message.is_request and message.method == step

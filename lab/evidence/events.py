"""What the dissector reports, line by line (images/helper/siplab.lua), as typed facts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lab.errors import EvidenceError
from lab.evidence.captured import Captured
from lab.evidence.directory import Directory, Endpoint
from lab.evidence.message import START_LINE, SipMessage, trim


@dataclass(frozen=True)
class Mark(Captured):
    """A marker frame of the lab's own."""

    text: str


@dataclass(frozen=True)
class TlsRecord(Captured):
    """TLS records of one packet. `types` are content types as far as known, `opaque` those that TLS 1.3 shows instead (RFC 8446 §5.2).

    `handshake` are handshake types (1 ClientHello … 20 Finished), `alerts` their descriptions' numbers (RFC 8446 §6), `names`, `uris` the
    certificates' SANs.
    """

    src: Endpoint
    dst: Endpoint
    stream: int
    types: tuple[int, ...] = ()
    opaque: tuple[int, ...] = ()
    handshake: tuple[int, ...] = ()
    sni: tuple[str, ...] = ()
    alerts: tuple[int, ...] = ()
    names: tuple[str, ...] = ()
    uris: tuple[str, ...] = ()


@dataclass(frozen=True)
class DnsMessage(Captured):
    """A query or a response. `names` and `qtypes` are the question's."""

    src: Endpoint
    dst: Endpoint
    response: bool
    rcode: int
    names: tuple[str, ...]
    qtypes: tuple[int, ...]


@dataclass(frozen=True)
class Stray(Captured):
    """Bytes on a SIP port that the dissector does not take for SIP: keep-alives, malformed messages."""

    src: Endpoint
    dst: Endpoint
    transport: str
    raw: bytes


Event = Mark | SipMessage | TlsRecord | DnsMessage | Stray


def parse(line: bytes, directory: Directory) -> Iterator[Event]:
    """The facts of one line. EvidenceError where it is not what the dissector writes."""
    try:
        data = json.loads(line)
        yield from _events(data, directory)
    except (ValueError, LookupError, TypeError) as error:
        raise EvidenceError(f"the dissector wrote a line that cannot be read: {line[:80]!r}: {error}") from error


def _events(data: dict[str, Any], directory: Directory) -> Iterator[Event]:
    frame, time, kind = int(data["frame"]), float(data["time"]), data["kind"]
    src, dst = directory.endpoint(data["src"], data["sport"]), directory.endpoint(data["dst"], data["dport"])
    if kind == "mark":
        yield Mark(frame, time, data["text"])
    elif kind in ("sip", "stray"):
        for text in data["raw"]:
            raw, transport = bytes.fromhex(text), str(data["transport"])
            if kind == "sip" or START_LINE.match(raw.lstrip(b"\r\n")):
                whole, network = trim(raw), directory.network(int(data["interface"]))
                surplus = len(raw.lstrip(b"\r\n")) - len(whole) if transport == "udp" else 0  # in a stream it is the next message
                yield SipMessage(frame, time, src, dst, transport, whole, network, surplus)
            else:
                yield Stray(frame, time, src, dst, transport, raw)
    elif kind == "tls":
        lists = {name: tuple(data[name]) for name in ("types", "opaque", "handshake", "sni", "alerts", "names", "uris")}
        yield TlsRecord(frame, time, src, dst, int(data["stream"]), **lists)
    elif kind == "dns":
        yield DnsMessage(frame, time, src, dst, bool(data["response"]), int(data["rcode"]), tuple(data["names"]), tuple(data["qtypes"]))
    else:
        raise ValueError(f"unknown kind {kind!r}")

"""What crosses the path of the media besides RTP: STUN and TURN (RFC 8489, 8656), ICE's checks (RFC 8445) and ZRTP (RFC 6189)."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address

from lab.evidence.check import Check
from lab.evidence.directory import Directory, Endpoint
from lab.evidence.media import udp
from lab.evidence.pcapng import Frame

_COOKIE = 0x2112A442
_METHODS = {1: "Binding", 3: "Allocate", 4: "Refresh", 6: "Send", 7: "Data", 8: "CreatePermission", 9: "ChannelBind"}
_CLASSES = ("request", "indication", "success", "error")
_USERNAME, _PRIORITY, _USE_CANDIDATE, _RELAYED = 0x0006, 0x0024, 0x0025, 0x0016


@dataclass(frozen=True)
class StunMessage:
    """One STUN message. `kind` is request, indication, success or error; `transaction` ties a response to its request."""

    frame: int
    src: Endpoint
    dst: Endpoint
    method: str
    kind: str
    transaction: bytes
    attributes: dict[int, bytes]

    @property
    def is_check(self) -> bool:
        """An ICE connectivity check: a Binding request with a user name and a priority (RFC 8445 §7.2.2)."""
        return (self.method, self.kind) == ("Binding", "request") and {_USERNAME, _PRIORITY} <= set(self.attributes)

    @property
    def nominates(self) -> bool:
        """The check chooses its pair (RFC 8445 §8.1.1)."""
        return self.is_check and _USE_CANDIDATE in self.attributes

    @property
    def relayed(self) -> str:
        """The IPv4 address and port that an allocation got; empty where there is none."""
        value = self.attributes.get(_RELAYED, b"")
        if len(value) != 8:
            return ""
        port, address = struct.unpack("!2xHI", value)
        return f"{IPv4Address(address ^ _COOKIE)}:{port ^ _COOKIE >> 16}"


@dataclass(frozen=True)
class ZrtpMessage:
    """One ZRTP message by its type, such as `Hello` or `Confirm1`."""

    frame: int
    src: Endpoint
    dst: Endpoint
    type: str


class MediaPath:
    """STUN and ZRTP between two marks."""

    def __init__(self, frames: Iterable[Frame], directory: Directory) -> None:
        found = [message for frame in frames for message in _messages(frame, directory)]
        self.stun = tuple(message for message in found if isinstance(message, StunMessage))
        self.zrtp = tuple(message for message in found if isinstance(message, ZrtpMessage))

    def answered(self, method: str, *, client: str, server: str) -> Check:
        """`client` sent a request of this method to `server`, which granted it."""
        asked = [m for m in self.stun if (m.src.element, m.dst.element, m.method, m.kind) == (client, server, method, "request")]
        if not asked:
            return Check(False, f"{client} sent no STUN {method} request to {server}", client)
        for message in asked:
            if any(m.kind == "success" and m.transaction == message.transaction for m in self.stun):
                return Check(True, f"{server} granted {method} to {client}", frame=message.frame)
        return Check(False, f"{server} granted no {method} to {client}", client, asked[-1].frame)

    def allocations(self, client: str) -> tuple[str, ...]:
        """Relayed addresses that a client was given, each `address:port`."""
        given = (m.relayed for m in self.stun if m.dst.element == client and (m.method, m.kind) == ("Allocate", "success"))
        return tuple(address for address in given if address)

    def checked(self, one: str, other: str) -> Check:
        """Each of the two sent connectivity checks that the other answered, and one of them nominated a pair."""
        for source, target in ((one, other), (other, one)):
            checks = [m for m in self.stun if m.is_check and (m.src.element, m.dst.element) == (source, target)]
            if not checks:
                return Check(False, f"{source} sent no connectivity check to {target}", source)
            if not any(m.kind == "success" and m.transaction in {c.transaction for c in checks} for m in self.stun):
                return Check(False, f"{target} answered no connectivity check of {source}", target, checks[0].frame)
        if not any(m.nominates and {m.src.element, m.dst.element} == {one, other} for m in self.stun):
            return Check(False, "no connectivity check nominated a pair")
        return Check(True, f"{one} and {other} checked their pairs and nominated one")

    def agreed_by_zrtp(self, one: str, other: str) -> Check:
        """The two confirmed a key that they had agreed on in the media path (RFC 6189 §4.6)."""
        for source in (one, other):
            types = {m.type for m in self.zrtp if m.src.element == source}
            if not types:
                return Check(False, f"{source} sent no ZRTP message", source)
            if not {"Confirm1", "Confirm2"} & types:
                return Check(False, f"{source} confirmed no key (its ZRTP messages: {', '.join(sorted(types))})", source)
        return Check(True, f"{one} and {other} agreed on a key by ZRTP")


def _messages(frame: Frame, directory: Directory) -> Iterator[StunMessage | ZrtpMessage]:
    found = udp(frame.data)
    if not found:
        return
    src, dst, data = directory.endpoint(*found[:2]), directory.endpoint(*found[2:4]), found[4]
    if len(data) >= 20 and data[0] < 4 and int.from_bytes(data[4:8], "big") == _COOKIE:
        yield _stun(frame.number, src, dst, data)
    elif len(data) >= 24 and data[0] >> 4 == 1 and data[4:8] == b"ZRTP":
        yield ZrtpMessage(frame.number, src, dst, data[16:24].decode("ascii", "replace").strip())


def _stun(frame: int, src: Endpoint, dst: Endpoint, data: bytes) -> StunMessage:
    kind = int.from_bytes(data[:2], "big")
    number = (kind & 0x000F) | (kind & 0x00E0) >> 1 | (kind & 0x3E00) >> 2
    method = _METHODS.get(number, str(number))
    return StunMessage(
        frame, src, dst, method, _CLASSES[(kind & 0x0100) >> 7 | (kind & 0x0010) >> 4], data[8:20], dict(_attributes(data[20:]))
    )


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= 4:
        kind, length = struct.unpack("!HH", data[:4])
        yield kind, data[4 : 4 + length]
        data = data[4 + (length + 3) // 4 * 4 :]

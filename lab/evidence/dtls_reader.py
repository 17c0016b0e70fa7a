"""DTLS handshakes out of datagrams (RFC 6347 §4.1, §4.2). Wire text is hostile: what cannot be read is left out and so proves nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from lab.evidence.dtls import Handshake, Place

_CHANGE_CIPHER_SPEC, _HANDSHAKE = 20, 22
_CLIENT_HELLO, _SERVER_HELLO, _CERTIFICATE = 1, 2, 11
_USE_SRTP, _SUPPORTED_VERSIONS = 14, 43
_LONGEST = 1 << 16
_MOST_PARTS = 64


@dataclass(frozen=True)
class Shown:
    """A certificate went from one place to another, be it that ICE had begun the handshake between others (RFC 8445 §12.1.1). In DTLS 1.3,
    which encrypts certificates, the server's hello stands for its own.
    """

    frame: int
    source: Place
    destination: Place


@dataclass
class _Part:
    """A handshake message that comes in fragments."""

    body: bytearray
    missing: set[int] = field(default_factory=set)


@dataclass
class _Pair:
    """What two places on one bridge said to each other."""

    handshakes: list[Handshake] = field(default_factory=list)
    parts: dict[tuple[Place, int, int], _Part] = field(default_factory=dict)


class Handshakes:
    """Collects the handshakes of a capture."""

    def __init__(self) -> None:
        self._pairs: dict[tuple[int, frozenset[Place]], _Pair] = defaultdict(_Pair)
        self.shown: list[Shown] = []

    def between(self, interface: int, one: Place, other: Place) -> Sequence[Handshake]:
        """All that were begun between two places, on one bridge."""
        pair = self._pairs.get((interface, frozenset((one, other))))
        return pair.handshakes if pair else ()

    def all(self) -> Iterator[Handshake]:
        """Between whomever."""
        return (handshake for pair in self._pairs.values() for handshake in pair.handshakes)

    def feed(self, interface: int, src: Place, dst: Place, frame: int, datagram: bytes) -> None:
        """Take in a datagram; one that is no DTLS is ignored (RFC 7983)."""
        if not datagram or not 20 <= datagram[0] <= 63:
            return
        pair = self._pairs[interface, frozenset((src, dst))]
        for kind, epoch, content in _records(datagram):
            if kind == _CHANGE_CIPHER_SPEC and pair.handshakes:
                pair.handshakes[-1].changed.add(src)
            elif kind == _HANDSHAKE and epoch == 0:
                for message, body in _messages(pair, src, content):
                    _learn(pair, src, dst, frame, message, body)
                    if message == _CERTIFICATE or (message == _SERVER_HELLO and _hides(body)):
                        self.shown.append(Shown(frame, src, dst))


def _records(datagram: bytes) -> Iterator[tuple[int, int, bytes]]:
    """(content type, epoch, content) of each record."""
    while len(datagram) >= 13 and datagram[1] == 0xFE:
        end = 13 + int.from_bytes(datagram[11:13], "big")
        yield datagram[0], int.from_bytes(datagram[3:5], "big"), datagram[13:end]
        datagram = datagram[end:]


def _messages(pair: _Pair, src: Place, content: bytes) -> Iterator[tuple[int, bytes]]:
    """(type, body) of each message that is whole now; one that is sent again is told again."""
    while len(content) >= 12:
        kind, sequence = content[0], int.from_bytes(content[4:6], "big")
        length, offset, size = (int.from_bytes(content[at : at + 3], "big") for at in (1, 6, 9))
        fragment, content = content[12 : 12 + size], content[12 + size :]
        key = (src, sequence, kind)
        fits = len(fragment) == size and offset + size <= length <= _LONGEST
        if not fits or (key not in pair.parts and len(pair.parts) >= _MOST_PARTS):
            continue
        part = pair.parts.setdefault(key, _Part(bytearray(length), set(range(length))))
        if len(part.body) != length:
            continue
        part.body[offset : offset + size] = fragment
        part.missing.difference_update(range(offset, offset + size))
        if not part.missing:
            yield kind, bytes(pair.parts.pop(key).body)


def _learn(pair: _Pair, src: Place, dst: Place, frame: int, kind: int, body: bytes) -> None:
    known = pair.handshakes[-1] if pair.handshakes else None
    if kind == _CLIENT_HELLO and len(body) >= 34 and (known is None or known.client_random != body[2:34]):
        pair.handshakes.append(Handshake(frame, src, dst, body[2:34]))
        pair.parts.clear()
    elif kind == _SERVER_HELLO and known and src == known.server and len(body) >= 35:
        known.server_random = body[2:34]
        srtp = _of_server(body).get(_USE_SRTP, b"")
        known.profile = int.from_bytes(srtp[2:4], "big") if len(srtp) >= 5 else None
        known.has_mki = len(srtp) > 5
        known.hidden = _hides(body)
    elif kind == _CERTIFICATE and known and len(body) >= 6:
        known.certificates[src] = body[6 : 6 + int.from_bytes(body[3:6], "big")]


def _of_server(hello: bytes) -> dict[int, bytes]:
    return _extensions(hello[35 + hello[34] + 3 :]) if len(hello) >= 35 else {}


def _hides(hello: bytes) -> bool:
    return _SUPPORTED_VERSIONS in _of_server(hello)


def _extensions(data: bytes) -> dict[int, bytes]:
    """Of a hello (RFC 5246 §7.4.1.4)."""
    found, data = {}, data[2 : 2 + int.from_bytes(data[:2], "big")]
    while len(data) >= 4:
        end = 4 + int.from_bytes(data[2:4], "big")
        found[int.from_bytes(data[:2], "big")], data = data[4:end], data[end:]
    return found

"""Session descriptions for one audio stream (RFC 4566) and the rules of offer and answer (RFC 3264)."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, replace

from .fault import SdpError

DIRECTIONS = ("sendrecv", "sendonly", "recvonly", "inactive")
MIRROR = {"sendrecv": "sendrecv", "sendonly": "recvonly", "recvonly": "sendonly", "inactive": "inactive"}
STATIC = {0: "PCMU/8000", 8: "PCMA/8000"}
"""Payload types that need no rtpmap (RFC 3551 §6)."""
EVENT = "telephone-event/8000"
PLAIN, SECURE = "RTP/AVP", "RTP/SAVP"
SECURE_DTLS = ("UDP/TLS/RTP/SAVP", "UDP/TLS/RTP/SAVPF")
"""Keyed by DTLS (RFC 5764 §8); the second one also promises RTCP feedback (RFC 5124), which needs nothing of who gives none."""
HASHES = {"sha-1": "sha1", "sha-224": "sha224", "sha-256": "sha256", "sha-384": "sha384", "sha-512": "sha512"}
"""Of RFC 8122 §5, without those that anybody can forge."""


@dataclass(frozen=True)
class Crypto:
    """An `a=crypto` line (RFC 4568 §9.1); `key` is base64 of master key and salt, without lifetime and MKI."""

    tag: int
    suite: str
    key: str

    def __str__(self) -> str:
        return f"{self.tag} {self.suite} inline:{self.key}"

    def same_key(self, other: Crypto) -> bool:
        """Packets of one can be read by the other."""
        return (self.suite, self.key) == (other.suite, other.key)

    @classmethod
    def parse(cls, text: str) -> Crypto | None:
        """The line's value; None where we cannot do it (RFC 4568 §6.1 lets us skip it): no inline key, session parameters, an MKI."""
        words = text.split()
        if len(words) != 3 or not words[0].isdigit() or not words[2].startswith("inline:"):
            return None
        key, *rest = words[2][7:].split("|")
        return None if any(":" in part for part in rest) else cls(int(words[0]), words[1], key)


@dataclass(frozen=True)
class Fingerprint:
    """An `a=fingerprint` (RFC 8122 §5): the hash function, and the digest of a certificate as `AB:CD:…`."""

    hash: str
    digest: str

    def __str__(self) -> str:
        return f"{self.hash} {self.digest}"

    @classmethod
    def of(cls, certificate: bytes, hash: str = "sha-256") -> Fingerprint:
        """That of a certificate in DER."""
        return cls(hash, hashlib.new(HASHES[hash], certificate).digest().hex(":").upper())

    @classmethod
    def parse(cls, text: str) -> Fingerprint | None:
        """The attribute's value; None where the hash function is none that we trust."""
        words = text.split()
        return cls(words[0].lower(), words[1].upper()) if len(words) == 2 and words[0].lower() in HASHES else None

    def matches(self, certificate: bytes) -> bool:
        """It is that of this certificate (DER)."""
        return self.of(certificate, self.hash) == self


@dataclass(frozen=True)
class Audio:
    """One audio stream. `formats` are (payload type, `NAME/rate`) in order of preference; port 0 is a refused stream.

    `setup` is the role in a DTLS handshake (RFC 4145 §4), empty where nothing was said of it.
    """

    host: str
    port: int
    formats: tuple[tuple[int, str], ...]
    direction: str = "sendrecv"
    profile: str = PLAIN
    crypto: tuple[Crypto, ...] = ()
    fingerprints: tuple[Fingerprint, ...] = ()
    setup: str = ""
    rtcp_mux: bool = False

    def payload(self, name: str) -> int | None:
        """The payload type of an encoding, case-insensitively."""
        return next((number for number, known in self.formats if known.upper() == name.upper()), None)


@dataclass(frozen=True)
class Session:
    """A description: the audio stream, and the m= lines of all other streams, which an answer must refuse one by one (RFC 3264 §6)."""

    audio: Audio
    identity: int = 0
    version: int = 0
    others: tuple[str, ...] = ()
    audio_index: int = 0

    def __bytes__(self) -> bytes:
        family = "IP6" if ":" in self.audio.host else "IP4"
        head = [
            "v=0",
            f"o=- {self.identity} {self.version} IN {family} {self.audio.host}",
            "s=-",
            f"c=IN {family} {self.audio.host}",
            "t=0 0",
        ]
        media = [[f"m={other}"] for other in self.others]
        media.insert(self.audio_index, _audio_lines(self.audio))
        return "".join(f"{line}\r\n" for line in [*head, *(line for part in media for line in part)]).encode()


def _audio_lines(audio: Audio) -> list[str]:
    numbers = " ".join(str(number) for number, _ in audio.formats)
    lines = [f"m=audio {audio.port} {audio.profile} {numbers}"]
    lines += [f"a=rtpmap:{number} {name}" for number, name in audio.formats]
    lines += [f"a=fmtp:{number} 0-15" for number, name in audio.formats if name == EVENT]
    lines += [f"a=crypto:{crypto}" for crypto in audio.crypto]
    lines += [f"a=fingerprint:{fingerprint}" for fingerprint in audio.fingerprints]
    lines += [f"a=setup:{audio.setup}"] if audio.setup else []
    lines += ["a=rtcp-mux"] if audio.rtcp_mux else []
    return [*lines, f"a={audio.direction}"]


def parse(data: bytes) -> Session:
    """Read a description. SdpError where it has no audio stream or a line is broken."""
    try:
        lines = [line for line in data.decode().replace("\r\n", "\n").split("\n") if line]
        return _parse(lines)
    except (ValueError, IndexError) as error:
        raise SdpError(f"broken session description: {error}") from error


def _parse(lines: Sequence[str]) -> Session:
    starts = [n for n, line in enumerate(lines) if line.startswith("m=")]
    head = lines[: starts[0]] if starts else lines
    parts = [lines[start:end] for start, end in zip(starts, [*starts[1:], len(lines)], strict=True)]
    index = next((n for n, part in enumerate(parts) if part[0].startswith("m=audio ")), None)
    if index is None:
        raise SdpError("no audio stream")
    origin = next((line[2:].split() for line in head if line.startswith("o=")), ["-", "0", "0"])
    others = []
    for n, part in enumerate(parts):
        if n != index:
            kind, _, rest = part[0][2:].split(" ", 2)
            others.append(f"{kind} 0 {rest}")
    return Session(_parse_audio(parts[index], head), int(origin[1]), int(origin[2]), tuple(others), index)


def _parse_audio(part: Sequence[str], head: Sequence[str]) -> Audio:
    _, announced, profile, *numbers = part[0][2:].split()
    port = int(announced.split("/")[0])
    if not 0 <= port <= 65535:
        raise ValueError(f"{port} is no port")
    everything = [*head, *part]
    host = [line.split()[2].split("/")[0] for line in everything if line.startswith("c=")][-1]
    names = dict(STATIC)
    for line in part:
        if line.startswith("a=rtpmap:"):
            number, name = line[9:].split(None, 1)
            names[int(number)] = name.strip().removesuffix("/1")
    formats = tuple((int(number), names[int(number)]) for number in numbers if number.isdigit() and int(number) in names)
    direction = next((line[2:].strip() for line in reversed(everything) if line[2:].strip() in DIRECTIONS and line[:2] == "a="), "sendrecv")
    if ipaddress.ip_address(host).is_unspecified:  # the hold of RFC 2543 (RFC 3264 §8.4)
        direction = "inactive" if direction in ("inactive", "recvonly") else "sendonly"
    return Audio(
        host,
        port,
        formats,
        direction,
        profile,
        crypto=tuple(filter(None, map(Crypto.parse, _values("crypto", part)))),
        fingerprints=tuple(filter(None, map(Fingerprint.parse, _values("fingerprint", part) or _values("fingerprint", head)))),
        setup=next(iter(_values("setup", part) or _values("setup", head)), ""),
        rtcp_mux="a=rtcp-mux" in part,
    )


def _values(name: str, lines: Sequence[str]) -> list[str]:
    """What the attributes of that name say."""
    return [line[len(name) + 3 :].strip() for line in lines if line.startswith(f"a={name}:")]


def answer(offer: Session, ours: Audio, *, identity: int, version: int) -> Session:
    """Our answer: the offer's codecs that we know in the offer's order and numbers, direction mirrored into what we want (§6.1).

    `ours.crypto` is the one line chosen, with our key (RFC 4568 §5.1.2). SdpError where nothing is in common.
    """
    audio = offer.audio
    known = {name.upper() for _, name in ours.formats}
    formats = tuple((number, name) for number, name in audio.formats if name.upper() in known)
    if not any(name.upper() in ("PCMU/8000", "PCMA/8000") for _, name in formats):
        raise SdpError("no codec in common")
    profile = audio.profile
    direction = meet(ours.direction, audio.direction)
    return Session(
        replace(ours, formats=formats, profile=profile, direction=direction), identity, version, offer.others, audio_index=offer.audio_index
    )


def meet(wanted: str, offered: str) -> str:
    """The direction of an answer: what we want, as far as the offer lets us (RFC 3264 §6.1)."""
    sends = wanted in ("sendrecv", "sendonly") and offered in ("sendrecv", "recvonly")
    receives = wanted in ("sendrecv", "recvonly") and offered in ("sendrecv", "sendonly")
    return "sendrecv" if sends and receives else "sendonly" if sends else "recvonly" if receives else "inactive"

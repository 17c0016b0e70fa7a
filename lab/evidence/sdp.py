"""Session descriptions, as leniently as evidence must be read (RFC 8866, RFC 4568)."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cached_property

from lab.errors import EvidenceError

_HASHES = ("sha1", "sha224", "sha256", "sha384", "sha512")


@dataclass(frozen=True)
class Crypto:
    """One `a=crypto` line (RFC 4568 §9.1). `key` is the base64 of master key and salt, `limits` what follows it (lifetime, MKI).

    `parameters` are the session parameters (§6.3), such as UNENCRYPTED_SRTP.
    """

    tag: str
    suite: str
    key: str
    limits: str = ""
    parameters: str = ""

    @property
    def has_mki(self) -> bool:
        """Packets carry a master key identifier (`…|1:4`)."""
        return ":" in self.limits


@dataclass(frozen=True)
class Fingerprint:
    """An `a=fingerprint` line (RFC 8122 §5)."""

    hash: str
    digest: str

    def matches(self, certificate: bytes) -> bool:
        """It is that of this certificate (DER). EvidenceError for a hash that is not known: it can be neither proven nor refuted."""
        name = self.hash.replace("-", "", 1)
        if name not in _HASHES:
            raise EvidenceError(f"a=fingerprint uses {self.hash}", remedy="siplab cannot compute it")
        return hashlib.new(name, certificate).digest().hex(":").upper() == self.digest


@dataclass(frozen=True)
class MediaDescription:
    """An m= section. `address` is its own c= line's, or the session's."""

    kind: str
    port: int
    profile: str
    formats: tuple[str, ...]
    address: str
    attributes: tuple[str, ...]

    @property
    def cryptos(self) -> tuple[Crypto, ...]:
        """Keys that the *sender of this description* encrypts with (RFC 4568 §5.1)."""
        found = (re.match(r"crypto:(\d+)\s+(\S+)\s+inline:([^|\s;]+)([^\s;]*)\s*(.*)", line) for line in self.attributes)
        return tuple(Crypto(*match.groups()) for match in found if match)

    @property
    def direction(self) -> str:
        """sendrecv, sendonly, recvonly or inactive (RFC 3264 §5.1: sendrecv where nothing is said)."""
        return next((line for line in self.attributes if line in ("sendrecv", "sendonly", "recvonly", "inactive")), "sendrecv")

    @property
    def secure(self) -> bool:
        """The profile promises SRTP (RTP/SAVP, UDP/TLS/RTP/SAVPF and their like)."""
        return "SAVP" in self.profile.upper()

    @property
    def fingerprints(self) -> tuple[Fingerprint, ...]:
        """Certificates of which the sender of this description has one (RFC 5763 §5): the stream's own, else the session's."""
        found = (re.match(r"fingerprint:(\S+)\s+([0-9A-Fa-f:]+)$", line) for line in self.attributes)
        return tuple(Fingerprint(match[1].lower(), match[2].upper()) for match in found if match)


@dataclass(frozen=True)
class Sdp:
    """A session description: `text` as found, `media` as far as it can be read."""

    text: str

    @cached_property
    def lines(self) -> tuple[tuple[str, str], ...]:
        """(type, value) of every line that has the form `x=…`."""
        return tuple((line[0], line[2:].strip()) for line in self.text.splitlines() if line[1:2] == "=")

    @cached_property
    def media(self) -> tuple[MediaDescription, ...]:
        """All m= sections; one whose m= line cannot be read is left out."""
        sections: list[list[tuple[str, str]]] = [[]]
        for line in self.lines:
            if line[0] == "m":
                sections.append([])
            sections[-1].append(line)
        session = _connection(sections[0])
        inherited = tuple(value for kind, value in sections[0] if kind == "a")
        found = (_media(section, session, inherited) for section in sections[1:])
        return tuple(media for media in found if media)


def _connection(section: list[tuple[str, str]]) -> str:
    values = (value.split() for kind, value in section if kind == "c")
    return next((words[2].split("/")[0] for words in values if len(words) > 2), "")


def _media(section: list[tuple[str, str]], session: str, inherited: tuple[str, ...]) -> MediaDescription | None:
    words = section[0][1].split()
    if len(words) < 3 or not words[1].split("/")[0].isdigit():
        return None
    own = tuple(value for kind, value in section if kind == "a")
    port = int(words[1].split("/")[0])
    return MediaDescription(words[0], port, words[2], tuple(words[3:]), _connection(section) or session, own + inherited)

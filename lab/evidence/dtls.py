"""DTLS handshakes as a capture shows them: who they were made with, and which SRTP keys come of them (RFC 5764, RFC 6347)."""

from __future__ import annotations

import base64
import hmac
from dataclasses import dataclass, field

from lab.errors import EvidenceError
from lab.evidence.sdp import Crypto

Place = tuple[str, int]
"""Address and port."""

_PROFILES = {
    1: ("AES_CM_128_HMAC_SHA1_80", 16, 14),
    2: ("AES_CM_128_HMAC_SHA1_32", 16, 14),
    7: ("AEAD_AES_128_GCM", 16, 12),
    8: ("AEAD_AES_256_GCM", 32, 12),
}
_NULL_PROFILES = (5, 6)


@dataclass
class Handshake:
    """What crossed in clear between a client and a server. `certificates` are the leaves in DER, `profile` is the server's choice.

    `changed` holds who went over to the new keys (ChangeCipherSpec): both, in a handshake that came to its end.
    """

    frame: int
    client: Place
    server: Place
    client_random: bytes
    server_random: bytes = b""
    profile: int | None = None
    has_mki: bool = False
    hidden: bool = False
    """DTLS 1.3, which shows no certificates (RFC 9147)."""
    certificates: dict[Place, bytes] = field(default_factory=dict)
    changed: set[Place] = field(default_factory=set)

    @property
    def complete(self) -> bool:
        """Both sides have keys."""
        return self.hidden or self.changed == {self.client, self.server}

    @property
    def encrypts(self) -> bool:
        """The profile is one that does (RFC 5764 §4.1.2)."""
        return self.profile is not None and self.profile not in _NULL_PROFILES

    def srtp_keys(self, sender: Place, master: bytes) -> tuple[Crypto, ...]:
        """What `sender` protects with (RFC 5764 §4.2), as SDES would tell it: one for each hash that the cipher suite's PRF can be made of.

        A packet authenticates with the right one only. EvidenceError for a profile that siplab does not know.
        """
        if self.profile not in _PROFILES:
            raise EvidenceError(
                f"SRTP protection profile {self.profile} is not known to siplab", remedy="its packets cannot be authenticated"
            )
        suite, key, salt = _PROFILES[self.profile]
        begin = (0, 2 * key) if sender == self.client else (key, 2 * key + salt)
        cryptos = []
        for prf in ("sha256", "sha384"):
            material = _prf(prf, master, b"EXTRACTOR-dtls_srtp" + self.client_random + self.server_random, 2 * (key + salt))
            own = material[begin[0] : begin[0] + key] + material[begin[1] : begin[1] + salt]
            cryptos.append(Crypto("1", suite, base64.b64encode(own).decode(), "|1:1" if self.has_mki else ""))
        return tuple(cryptos)


def _prf(name: str, secret: bytes, seed: bytes, length: int) -> bytes:
    """RFC 5246 §5; label and seed are one string."""
    found, block = b"", seed
    while len(found) < length:
        block = hmac.digest(secret, block, name)
        found += hmac.digest(secret, block + seed, name)
    return found[:length]


def master_secrets(keylog: str) -> dict[bytes, bytes]:
    """Client random to master secret, out of a key log in NSS's format; lines of other kinds are left out."""
    found = {}
    for line in keylog.splitlines():
        words = line.split()
        if len(words) == 3 and words[0] == "CLIENT_RANDOM":
            try:
                found[bytes.fromhex(words[1])] = bytes.fromhex(words[2])
            except ValueError as error:
                raise EvidenceError(f"keys.log has a broken line: {line[:40]}…", remedy="see who wrote it") from error
    return found

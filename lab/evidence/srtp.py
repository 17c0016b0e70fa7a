"""Does a packet authenticate with a key? The proof that media was SRTP, and keyed as negotiated (RFC 3711, 4568, 6188, 7714)."""

from __future__ import annotations

import base64
import binascii
import hmac
import struct
from typing import Protocol

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from pylibsrtp import Error, Policy, Session

from lab.errors import EvidenceError
from lab.evidence.sdp import Crypto

_LIBSRTP = {
    "AES_CM_128_HMAC_SHA1_80": (Policy.SRTP_PROFILE_AES128_CM_SHA1_80, 30),
    "AES_CM_128_HMAC_SHA1_32": (Policy.SRTP_PROFILE_AES128_CM_SHA1_32, 30),
    "AEAD_AES_128_GCM": (Policy.SRTP_PROFILE_AEAD_AES_128_GCM, 28),
    "AEAD_AES_256_GCM": (Policy.SRTP_PROFILE_AEAD_AES_256_GCM, 44),
}
_WIDE = {"AES_256_CM_HMAC_SHA1_80": 10, "AES_256_CM_HMAC_SHA1_32": 4, "AES_CM_256_HMAC_SHA1_80": 10, "AES_CM_256_HMAC_SHA1_32": 4}
_WIDE_LENGTH = 46


class Authenticator(Protocol):
    """Judges the packets of one stream, in their order."""

    def authentic(self, packet: bytes) -> bool:
        """The authentication tag verifies."""


def authenticator(crypto: Crypto) -> Authenticator:
    """The judge for one a=crypto line. EvidenceError for an unknown suite: it can be neither proven nor refuted."""
    suite = crypto.suite.upper()
    if crypto.has_mki:
        raise EvidenceError(f"a=crypto:{crypto.tag} uses a master key identifier", remedy="siplab cannot authenticate such packets yet")
    if suite in _LIBSRTP:
        profile, length = _LIBSRTP[suite]
        return _Libsrtp(_key(crypto, length), profile)
    if suite in _WIDE:
        return _Wide(_key(crypto, _WIDE_LENGTH), _WIDE[suite])
    raise EvidenceError(f"SRTP suite {crypto.suite} is not known to siplab", remedy="its packets cannot be authenticated")


def _key(crypto: Crypto, length: int) -> bytes:
    try:
        key = base64.b64decode(crypto.key + "=" * (-len(crypto.key) % 4), validate=True)
    except binascii.Error as error:
        raise EvidenceError(f"the key of a=crypto:{crypto.tag} is no base64: {error}") from error
    if len(key) != length:
        raise EvidenceError(f"the key of a=crypto:{crypto.tag} has {len(key)} bytes, {crypto.suite} needs {length}")
    return key


class _Libsrtp:
    def __init__(self, key: bytes, profile: int) -> None:
        self._session = Session(Policy(key=key, ssrc_type=Policy.SSRC_ANY_INBOUND, srtp_profile=profile))

    def authentic(self, packet: bytes) -> bool:
        try:
            self._session.unprotect(packet)
        except (Error, ValueError):
            return False
        return True


class _Wide:
    """AES-256 counter mode, which pylibsrtp has no profile for: its tag is HMAC-SHA1 over packet and rollover counter (§4.2)."""

    def __init__(self, key: bytes, tag: int) -> None:
        self._auth, self._tag = session_key(key[:32], key[32:], label=1, length=20), tag
        self._roll, self._highest = 0, -1

    def authentic(self, packet: bytes) -> bool:
        if len(packet) < 12 + self._tag:
            return False
        sequence: int = struct.unpack_from("!H", packet, 2)[0]
        roll = self._guess(sequence)
        body, tag = packet[: -self._tag], packet[-self._tag :]
        expected = hmac.new(self._auth, body + struct.pack("!I", roll & 0xFFFFFFFF), "sha1").digest()
        if not hmac.compare_digest(expected[: self._tag], tag):
            return False
        self._roll, self._highest = max((self._roll, self._highest), (roll, sequence))
        return True

    def _guess(self, sequence: int) -> int:
        if self._highest < 0:
            return 0
        if self._highest < 0x8000:
            return self._roll - 1 if sequence - self._highest > 0x8000 else self._roll
        return self._roll + 1 if self._highest - 0x8000 > sequence else self._roll


def session_key(master: bytes, salt: bytes, *, label: int, length: int) -> bytes:
    """The key derivation of RFC 3711 §4.3.1 (AES-256: RFC 6188 §3), key derivation rate 0."""
    start = int.from_bytes(salt.ljust(14, b"\0"), "big") ^ (label << 48)
    encryptor = Cipher(algorithms.AES(master), modes.CTR((start << 16).to_bytes(16, "big"))).encryptor()
    return encryptor.update(bytes(length))

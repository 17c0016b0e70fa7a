"""SRTP keyed by SDP (RFC 4568, RFC 3711) on libsrtp. Which lines are offered, which one is taken, and the packets."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Sequence
from dataclasses import InitVar, dataclass, field

from pylibsrtp import Error, Policy, Session

from .fault import SdpError
from .sdp import Crypto

SUITES = {
    "AES_CM_128_HMAC_SHA1_80": Policy.SRTP_PROFILE_AES128_CM_SHA1_80,
    "AES_CM_128_HMAC_SHA1_32": Policy.SRTP_PROFILE_AES128_CM_SHA1_32,
}
"""Suites that we do, the mandatory one first (RFC 4568 §6.2)."""
KEY_BYTES = 30
"""16 of master key, 14 of master salt."""


def new_key() -> str:
    """A fresh master key and salt, as base64."""
    return base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()


def offer_lines() -> tuple[Crypto, ...]:
    """One line per suite, each with a key of its own (RFC 4568 §6.1)."""
    return tuple(Crypto(tag, suite, new_key()) for tag, suite in enumerate(SUITES, 1))


def choose(offered: Sequence[Crypto]) -> Crypto:
    """The first offered line that we can do (RFC 4568 §5.1.2). SdpError where there is none: never fall back to clear text."""
    for crypto in offered:
        if crypto.suite in SUITES and _key(crypto):
            return crypto
    raise SdpError(f"no crypto line that we can do among {[crypto.suite for crypto in offered]}")


@dataclass
class SrtpPair:
    """Both directions of one stream: what we protect with our key, what we open with theirs.

    `before` is the pair whose place it takes. A context is kept as long as its key is, or roll-over counter and replay list would begin
    again (RFC 3711 §3.2.1).
    """

    ours: Crypto
    theirs: Crypto
    before: InitVar[SrtpPair | None] = None
    _tx: Session = field(init=False, repr=False, compare=False)
    _rx: Session = field(init=False, repr=False, compare=False)

    def __post_init__(self, before: SrtpPair | None) -> None:
        self._tx = before._tx if before and before.ours.same_key(self.ours) else _session(self.ours, Policy.SSRC_ANY_OUTBOUND)
        self._rx = before._rx if before and before.theirs.same_key(self.theirs) else _session(self.theirs, Policy.SSRC_ANY_INBOUND)

    def protect(self, packet: bytes) -> bytes:
        """RTP to SRTP."""
        return bytes(self._tx.protect(packet))

    def unprotect(self, packet: bytes) -> bytes | None:
        """SRTP to RTP; None for a packet that does not authenticate or is a replay."""
        try:
            return bytes(self._rx.unprotect(packet))
        except Error:
            return None


def _session(crypto: Crypto, direction: int) -> Session:
    key = _key(crypto)
    if key is None:
        raise SdpError(f"the key of crypto line {crypto.tag} is not {KEY_BYTES} bytes of base64")
    return Session(Policy(key=key, ssrc_type=direction, srtp_profile=SUITES[crypto.suite]))


def _key(crypto: Crypto) -> bytes | None:
    try:
        key = base64.b64decode(crypto.key, validate=True)
    except ValueError:
        return None
    return key if len(key) == KEY_BYTES else None

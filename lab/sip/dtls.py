"""Keys for SRTP out of a DTLS handshake on the media port (RFC 5763, RFC 5764), on OpenSSL."""

from __future__ import annotations

import asyncio
import base64
import datetime
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from OpenSSL import SSL, crypto

from .sdp import Crypto, Fingerprint
from .srtp import KEY_BYTES, SrtpPair

SUITES = {b"SRTP_AES128_CM_SHA1_80": "AES_CM_128_HMAC_SHA1_80", b"SRTP_AES128_CM_SHA1_32": "AES_CM_128_HMAC_SHA1_32"}
"""Protection profiles (RFC 5764 §4.1.2), the better one first, by OpenSSL's name, and what SDES calls them."""
LABEL = b"EXTRACTOR-dtls_srtp"
DTLS_1_2 = 0xFEFD
MTU = 1200
"""Bytes of a datagram: IPv6's minimum less headers."""
MISMATCH = "the DTLS certificate of the other side is not that of its fingerprint (RFC 5763 §5)"
WITHIN = 10.0
"""Seconds for a handshake; then it has failed."""


def is_dtls(datagram: bytes) -> bool:
    """The first byte tells DTLS from STUN and RTP on one port (RFC 7983 §7)."""
    return bool(datagram) and 20 <= datagram[0] <= 63


class Identity:
    """A self-signed certificate that nobody has to trust: the signalling tells its fingerprint (RFC 5763 §5). Secrets are logged."""

    def __init__(self, keylog: str | None = None) -> None:
        key, certificate = _self_signed()
        der = certificate.public_bytes(serialization.Encoding.DER)
        self.fingerprint = Fingerprint.of(der)
        self.context = SSL.Context(SSL.DTLS_METHOD)
        self.context.set_min_proto_version(DTLS_1_2)
        self.context.set_options(SSL.OP_NO_TICKET | SSL.OP_NO_QUERY_MTU)
        self.context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        self.context.use_certificate(certificate)
        self.context.use_privatekey(key)
        self.context.set_tlsext_use_srtp(b":".join(SUITES))
        if keylog:
            self.context.set_keylog_callback(lambda _, line: _append(keylog, line))


@dataclass(frozen=True)
class Terms:
    """What offer and answer said of the handshake: who we are, whether we begin it, and whom we expect. `trusting` takes anybody."""

    identity: Identity
    active: bool
    expected: tuple[Fingerprint, ...]
    trusting: bool = False


class Association:
    """One handshake with one peer, from the first flight to the keys. It is told of every DTLS datagram, also later ones.

    `keyed` is called once with the keys, or `failed` once with a reason; neither where it is closed before.
    """

    def __init__(
        self, terms: Terms, send: Callable[[bytes], None], keyed: Callable[[SrtpPair], None], failed: Callable[[str], None]
    ) -> None:
        self._terms, self._send, self._keyed, self._failed = terms, send, keyed, failed
        self._mismatch = False
        self._over = False
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._deadline = self._loop.call_later(WITHIN, self._fail, f"no DTLS handshake within {WITHIN:g} s")
        self._connection = SSL.Connection(terms.identity.context, None)
        self._connection.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, self._verify)
        self._connection.set_ciphertext_mtu(MTU)
        if terms.active:
            self._connection.set_connect_state()
            self._advance()
        else:
            self._connection.set_accept_state()

    def receive(self, datagram: bytes) -> None:
        """A DTLS datagram of the peer's."""
        self._connection.bio_write(datagram)
        self._advance()

    def close(self) -> None:
        """No more timers, no more calls."""
        self._over = True
        self._deadline.cancel()
        if self._timer:
            self._timer.cancel()

    def _advance(self) -> None:
        """As far as what has come allows; after the handshake a last flight that was lost is sent again (RFC 6347 §4.2.4)."""
        done, why = False, ""
        try:
            self._connection.do_handshake()
            done = True
            self._connection.recv(1)
        except SSL.WantReadError:
            pass
        except SSL.Error as error:
            why = _reason(error)
        self._flush()
        if self._over:
            return
        if done:
            self._finish()
        elif why:
            self._fail(MISMATCH if self._mismatch else why)

    def _flush(self) -> None:
        try:
            flight = self._connection.bio_read(1 << 16)
        except SSL.WantReadError:
            flight = b""
        for datagram in _datagrams(flight):
            self._send(datagram)
        if self._timer:
            self._timer.cancel()
        wait = self._connection.DTLSv1_get_timeout()
        self._timer = self._loop.call_later(wait, self._again) if wait is not None and not self._over else None

    def _again(self) -> None:
        try:
            self._connection.DTLSv1_handle_timeout()
        except SSL.Error as error:
            self._fail(_reason(error))
            return
        self._flush()

    def _verify(self, _: SSL.Connection, certificate: crypto.X509, __: int, depth: int, ___: int) -> bool:
        """Whether it is the certificate that the signalling announced; nothing else of it counts (RFC 5763 §5)."""
        if depth == 0 and not self._is_expected(certificate.to_cryptography()):
            self._mismatch = True
        return not self._mismatch

    def _is_expected(self, certificate: x509.Certificate | None) -> bool:
        der = certificate.public_bytes(serialization.Encoding.DER) if certificate else b""
        return self._terms.trusting or any(expected.matches(der) for expected in self._terms.expected)

    def _finish(self) -> None:
        if not self._is_expected(self._connection.get_peer_certificate(as_cryptography=True)):
            self._fail(MISMATCH)
            return
        suite = SUITES.get(self._connection.get_selected_srtp_profile())
        if suite is None:
            self._fail("the DTLS handshake agreed on no SRTP protection profile (RFC 5764 §4.1)")
            return
        self.close()
        client, server = _keys(self._connection.export_keying_material(LABEL, 2 * KEY_BYTES), suite)
        self._keyed(SrtpPair(client, server) if self._terms.active else SrtpPair(server, client))

    def _fail(self, why: str) -> None:
        self.close()
        self._failed(why)


def _keys(material: bytes, suite: str) -> tuple[Crypto, Crypto]:
    """The client's and the server's write key: both keys come first, then both salts (RFC 5764 §4.2)."""
    client = material[0:16] + material[32:46]
    server = material[16:32] + material[46:60]
    line = Crypto(1, suite, "")
    return replace(line, key=base64.b64encode(client).decode()), replace(line, key=base64.b64encode(server).decode())


def _datagrams(flight: bytes) -> Iterator[bytes]:
    """Whole records (RFC 6347 §4.1) in as few datagrams as the MTU lets; the memory BIO has run them into one."""
    datagram = b""
    while flight:
        size = 13 + int.from_bytes(flight[11:13], "big")
        record, flight = flight[:size], flight[size:]
        if datagram and len(datagram) + len(record) > MTU:
            yield datagram
            datagram = b""
        datagram += record
    if datagram:
        yield datagram


def _self_signed() -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "siplab")])
    now = datetime.datetime.now(datetime.UTC)
    day = datetime.timedelta(days=1)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - day).not_valid_after(now + 30 * day)
    return key, builder.sign(key, hashes.SHA256())


def _append(path: str, line: bytes) -> None:
    with open(path, "ab", buffering=0) as log:
        log.write(line + b"\n")


def _reason(error: SSL.Error) -> str:
    words = [str(part[-1]) for part in error.args[0]] if error.args and isinstance(error.args[0], list) else []
    return f"the DTLS handshake failed: {'; '.join(words) or type(error).__name__}"

"""The lab's public key infrastructure: a fresh CA for every lab, and certificates that are right or wrong in exactly one way.

Names follow RFC 5922 §7.1 (the SIP domain in subjectAltName, as URI and as DNS name), form RFC 5280. Keys are EC P-256 and signatures
ECDSA with SHA-256, which OpenSSL 1.0.2, OpenSSL 3 and Mbed TLS all take. Nothing is ever stored for a second lab.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Protocol

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from lab.plan.model import CertificateRequest

_DAY = timedelta(days=1)
_UNRELATED = "unrelated.invalid"


@dataclass(frozen=True)
class Issued:
    """A certificate and its private key, both PEM. The chain is the leaf alone: the root is what everybody has already."""

    certificate: bytes
    key: bytes


class Issuer(Protocol):
    """Where certificates come from: a real authority, or placeholders for golden files."""

    @property
    def root(self) -> bytes:
        """The trust anchor in PEM, which every element gets as `ca.pem`."""

    def issue(self, request: CertificateRequest) -> Issued:
        """Fulfil one request, with its fault if it asks for one."""


class Authority:
    """A certificate authority that lives as long as one lab. `now` is the instant that validity is counted from."""

    def __init__(self, now: datetime | None = None) -> None:
        self._now = now or datetime.now(UTC)
        self._root = _Signer(self._now)
        self._stranger = _Signer(self._now)  # signs what nobody shall trust

    @property
    def root(self) -> bytes:
        """The trust anchor in PEM."""
        return _pem(self._root.certificate)

    def issue(self, request: CertificateRequest) -> Issued:
        """A new key and a certificate for `request`; a fault breaks one thing and leaves all else right."""
        signer = self._stranger if request.fault == "unknown-ca" else self._root
        named = _unrelated(request) if request.fault == "wrong-san" else request
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = signer.sign(named, key.public_key(), _validity(request, self._now))
        return Issued(certificate=_pem(certificate), key=_private(key))


class Placeholders:
    """Stands in for an authority where files are compared: no secrets, and the same bytes every time."""

    @property
    def root(self) -> bytes:
        """A line that says what belongs here."""
        return b"(the lab's CA certificate)\n"

    def issue(self, request: CertificateRequest) -> Issued:
        """Lines that say what belongs here."""
        about = f"{request.name} for {request.common_name}, fault {request.fault}"
        return Issued(certificate=f"(certificate {about})\n".encode(), key=f"(private key {about})\n".encode())


class _Signer:
    """A root: its key and its self-signed certificate."""

    def __init__(self, now: datetime) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        public = self._key.public_key()
        serial = x509.random_serial_number()
        self._name = _name(f"siplab CA {serial:x}"[:40])
        self.certificate = (
            x509.CertificateBuilder()
            .subject_name(self._name)
            .issuer_name(self._name)
            .public_key(public)
            .serial_number(serial)
            .not_valid_before(now - 90 * _DAY)  # older than an expired leaf: the leaf's date is the only fault
            .not_valid_after(now + 90 * _DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(ca=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .sign(self._key, hashes.SHA256())
        )

    def sign(self, request: CertificateRequest, public: ec.EllipticCurvePublicKey, validity: tuple[datetime, datetime]) -> x509.Certificate:
        """A leaf certificate for `request`."""
        names: list[x509.GeneralName] = [x509.DNSName(name) for name in request.dns_names]
        names += [x509.UniformResourceIdentifier(uri) for uri in request.uris]
        names += [x509.IPAddress(ip_address(address)) for address in request.addresses]
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        return (
            x509.CertificateBuilder()
            .subject_name(_name(request.common_name))
            .issuer_name(self._name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(validity[0])
            .not_valid_after(validity[1])
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(ca=False), critical=True)
            .add_extension(_extended_usage(request), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(authority, critical=False)
            .sign(self._key, hashes.SHA256())
        )


def _validity(request: CertificateRequest, now: datetime) -> tuple[datetime, datetime]:
    if request.fault == "expired":
        return now - 30 * _DAY, now - _DAY
    if request.fault == "not-yet-valid":
        return now + _DAY, now + 30 * _DAY
    return now - _DAY, now + 30 * _DAY  # a day back: clocks differ


def _unrelated(request: CertificateRequest) -> CertificateRequest:
    """The same certificate for somebody else's name."""
    uris = tuple(f"sip:mallory@{_UNRELATED}" if "@" in uri else f"sip:{_UNRELATED}" for uri in request.uris)
    dns_names = tuple(dict.fromkeys(_UNRELATED for _ in request.dns_names))
    return replace(request, common_name=_UNRELATED, dns_names=dns_names, uris=tuple(dict.fromkeys(uris)), addresses=())


def _extended_usage(request: CertificateRequest) -> x509.ExtendedKeyUsage:
    """A SIP server is a TLS client too, towards the next proxy; a user also signs bodies (RFC 8551)."""
    if request.usage == "user":
        return x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.EMAIL_PROTECTION])
    return x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])


def _key_usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())

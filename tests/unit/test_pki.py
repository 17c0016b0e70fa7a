"""Certificates are right, or wrong in exactly one way."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from lab.plan.model import CertificateRequest
from lab.render.pki import Authority, Placeholders

SERVER = CertificateRequest("pa", "pa.atlanta.example", ("pa.atlanta.example", "atlanta.example"), ("sip:atlanta.example",))
USER = CertificateRequest("alice", "alice@atlanta.example", (), ("sip:alice@atlanta.example",), usage="user")


def faulty(fault: str) -> CertificateRequest:
    host = f"{fault}.atlanta.example"
    return CertificateRequest(fault, host, (host,), (f"sip:{host}",), fault=fault)


def leaf(authority: Authority, request: CertificateRequest) -> x509.Certificate:
    return x509.load_pem_x509_certificate(authority.issue(request).certificate)


def verify(authority: Authority, certificate: x509.Certificate, name: str, at: datetime | None = None) -> None:
    store = Store([x509.load_pem_x509_certificate(authority.root)])
    verifier = PolicyBuilder().store(store).time(at or datetime.now(UTC)).build_server_verifier(x509.DNSName(name))
    verifier.verify(certificate, [])


def test_a_server_is_its_domain() -> None:
    authority = Authority()
    certificate = leaf(authority, SERVER)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["pa.atlanta.example", "atlanta.example"]
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == ["sip:atlanta.example"]
    for name in SERVER.dns_names:
        verify(authority, certificate, name)


def test_a_user_is_an_address_of_record() -> None:
    names = leaf(Authority(), USER).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert list(names) == [x509.UniformResourceIdentifier("sip:alice@atlanta.example")]


def test_key_belongs_to_certificate() -> None:
    issued = Authority().issue(SERVER)
    key = serialization.load_pem_private_key(issued.key, None)
    assert key.public_key() == x509.load_pem_x509_certificate(issued.certificate).public_key()


def test_nothing_is_used_twice() -> None:
    one, other = Authority(), Authority()
    assert one.root != other.root
    assert one.issue(SERVER).key != one.issue(SERVER).key
    with pytest.raises(VerificationError):
        verify(one, leaf(other, SERVER), "atlanta.example")


@pytest.mark.parametrize(("fault", "days"), [("expired", -2), ("not-yet-valid", 2)])
def test_a_wrong_date_is_the_only_fault(fault: str, days: int) -> None:
    authority = Authority()
    certificate = leaf(authority, faulty(fault))
    with pytest.raises(VerificationError, match=r"(?i)valid|expire"):
        verify(authority, certificate, f"{fault}.atlanta.example")
    verify(authority, certificate, f"{fault}.atlanta.example", datetime.now(UTC) + timedelta(days=days))


def test_a_wrong_name_is_the_only_fault() -> None:
    authority = Authority()
    certificate = leaf(authority, faulty("wrong-san"))
    assert b"atlanta" not in certificate.public_bytes(serialization.Encoding.DER)
    with pytest.raises(VerificationError):
        verify(authority, certificate, "wrong-san.atlanta.example")
    verify(authority, certificate, "unrelated.invalid")


def test_an_unknown_ca_is_the_only_fault() -> None:
    authority = Authority()
    certificate = leaf(authority, faulty("unknown-ca"))
    with pytest.raises(VerificationError):
        verify(authority, certificate, "unknown-ca.atlanta.example")
    assert certificate.not_valid_after_utc > datetime.now(UTC)
    assert b"unknown-ca.atlanta.example" in certificate.public_bytes(serialization.Encoding.DER)


@pytest.mark.parametrize(
    ("request_", "complaint"),
    [(SERVER, ""), (faulty("expired"), "expired"), (faulty("not-yet-valid"), "not yet valid"), (faulty("unknown-ca"), "unable to get")],
)
def test_openssl_agrees(tmp_path: Path, request_: CertificateRequest, complaint: str) -> None:
    authority = Authority()
    (tmp_path / "ca.pem").write_bytes(authority.root)
    (tmp_path / "leaf.pem").write_bytes(authority.issue(request_).certificate)
    command = ["openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", "ca.pem", "leaf.pem"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode == 0) == (not complaint), done.stderr
    assert complaint in done.stderr


def test_placeholders_hold_no_secret_and_do_not_change() -> None:
    assert Placeholders().issue(SERVER) == Placeholders().issue(SERVER)
    assert b"BEGIN" not in Placeholders().issue(SERVER).key + Placeholders().root

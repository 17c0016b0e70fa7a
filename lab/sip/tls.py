"""TLS as RFC 5922 wants it: the certificate must name the domain that was dialled, before one byte of SIP is sent."""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .fault import TransportError


@dataclass(frozen=True)
class TlsFiles:
    """PEM files: whom we trust, who we are; and where secrets are logged (NSS key log format) so that a capture can be read."""

    ca: str | None = None
    certificate: str | None = None
    key: str | None = None
    keylog: str | None = None


def client_context(files: TlsFiles, *, verify: bool = True) -> ssl.SSLContext:
    """A context that verifies the chain; the name is ours to check (`check_peer`), as RFC 5922 §7.1 differs from HTTPS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED if verify else ssl.CERT_NONE
    return _furnished(context, files)


def server_context(files: TlsFiles) -> ssl.SSLContext:
    """A context that presents our certificate and asks for none."""
    return _furnished(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), files)


def _furnished(context: ssl.SSLContext, files: TlsFiles) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if files.ca:
        context.load_verify_locations(files.ca)
    if files.certificate:
        context.load_cert_chain(files.certificate, files.key)
    if files.keylog:
        context.keylog_filename = files.keylog
    return context


def identities(certificate: Mapping[str, Any]) -> Iterator[str]:
    """The domains that a certificate (as `SSLObject.getpeercert()` tells it) stands for, in lower case.

    `sip:` URIs without a user part and DNS names of subjectAltName (RFC 5922 §7.1). The common name is never looked at. A DNS name counts
    beside a URI too: §7.1 prefers the URI alone, but who is told to dial a host must be able to check that host (RFC 3261 §26.3.1).
    """
    for kind, value in certificate.get("subjectAltName", ()):
        if kind == "URI" and value.lower().startswith("sip:") and "@" not in value:
            yield value[4:].split(";")[0].lower()
        elif kind == "DNS":
            yield value.lower()


def check_peer(certificate: Mapping[str, Any], domain: str) -> None:
    """TransportError where the certificate does not name `domain`. Names match whole, without wildcards (RFC 5922 §7.2)."""
    if _address(domain) is not None:
        known = [_address(value) for kind, value in certificate.get("subjectAltName", ()) if kind == "IP Address"]
        named: list[str] = [str(address) for address in known]
        matches = _address(domain) in known
    else:
        named = list(identities(certificate))
        matches = domain.rstrip(".").lower() in named
    if not matches:
        raise TransportError(f"the peer's certificate is for {', '.join(named) or 'nobody'}, not for {domain} (RFC 5922 §7)")


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        return None

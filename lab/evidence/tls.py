"""What TLS records tell without their content, and whether their content was readable at all."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from lab.evidence.check import Check
from lab.evidence.events import TlsRecord

_CCS, _ALERT, _APPLICATION = 20, 21, 23
_CLIENT_HELLO, _CERTIFICATE_VERIFY, _FINISHED = 1, 15, 20
_HELLOS = {1, 2}
ALERTS = {
    0: "close_notify", 10: "unexpected_message", 20: "bad_record_mac", 40: "handshake_failure", 42: "bad_certificate",
    43: "unsupported_certificate", 44: "certificate_revoked", 45: "certificate_expired", 46: "certificate_unknown", 47: "illegal_parameter",
    48: "unknown_ca", 49: "access_denied", 50: "decode_error", 51: "decrypt_error", 70: "protocol_version", 71: "insufficient_security",
    80: "internal_error", 90: "user_canceled", 109: "missing_extension", 112: "unrecognized_name", 116: "certificate_required",
}  # fmt: skip


def undecrypted(records: Iterable[TlsRecord]) -> tuple[TlsRecord, ...]:
    """Records whose content stayed hidden. Give it a capture from its beginning: a stream is judged by its handshake.

    TLS 1.3 hides the content type, so a record with an inner type was opened. In TLS 1.2 the Finished is the first encrypted message:
    where it was readable, so is what follows.
    """
    opened: set[int] = set()
    hidden = []
    for record in records:
        if _is_hidden(record, record.stream in opened):
            hidden.append(record)
        if _FINISHED in record.handshake:
            opened.add(record.stream)
    return tuple(hidden)


def _is_hidden(record: TlsRecord, opened: bool) -> bool:
    if record.opaque:
        inner = sum(1 for kind in record.types if kind != _CCS) - len(_HELLOS.intersection(record.handshake))
        return inner < len(record.opaque)
    if opened:
        return False
    return _APPLICATION in record.types or (_ALERT in record.types and not record.alerts)


def carries_data(record: TlsRecord) -> bool:
    """Holds application data: bytes of SIP, not of a handshake."""
    return _APPLICATION in record.types


@dataclass(frozen=True)
class Alert:
    """A TLS alert and who sent it."""

    frame: int
    element: str
    name: str


class TlsView:
    """TLS of one scenario: `records` in order."""

    def __init__(self, records: tuple[TlsRecord, ...]) -> None:
        self.records = records

    def between(self, one: str, other: str, *, port: int | None = None) -> TlsView:
        """Only connections of these two elements, to that server port where one is given."""
        ends = {one, other}
        found = (r for r in self.records if {r.src.element, r.dst.element} == ends and port in (None, r.src.port, r.dst.port))
        return TlsView(tuple(found))

    def attempted(self, one: str, other: str, *, port: int | None = None) -> Check:
        """A ClientHello passed between the two (to that server port)."""
        hellos = [record for record in self.between(one, other, port=port).records if _CLIENT_HELLO in record.handshake]
        where = f"{one} and {other}{f' on port {port}' if port else ''}"
        if not hellos:
            return Check(False, f"no TLS handshake between {where}", one)
        return Check(True, f"TLS handshake between {where}", frame=hellos[0].frame)

    def client_certificate(self, client: str, server: str) -> Check:
        """The client proved to have the key of a certificate that it showed (RFC 8446 §4.4.3, RFC 5246 §7.4.8)."""
        records = [record for record in self.between(client, server).records if record.src.element == client]
        shown = [record for record in records if _CERTIFICATE_VERIFY in record.handshake and server == record.dst.element]
        if not shown:
            return Check(False, f"{client} showed {server} no certificate", client, records[0].frame if records else None)
        names = ", ".join(name for record in shown for name in record.uris)
        return Check(True, f"{client} showed a certificate{f' of {names}' if names else ''}", frame=shown[0].frame)

    @property
    def alerts(self) -> tuple[Alert, ...]:
        """Every alert but close_notify."""
        return tuple(
            Alert(record.frame, record.src.name, ALERTS.get(number, str(number)))
            for record in self.records
            for number in record.alerts
            if number
        )

    @property
    def server_names(self) -> tuple[str, ...]:
        """Names that clients asked for (SNI, RFC 6066 §3)."""
        return tuple(name for record in self.records for name in record.sni)

    @property
    def certificate_names(self) -> tuple[str, ...]:
        """DNS names and URIs in the certificates that were shown."""
        return tuple(name for record in self.records for name in record.names + record.uris)

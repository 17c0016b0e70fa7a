"""Was a flow keyed by the handshake that its two sides announced? (RFC 5763 §5, RFC 5764)"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property

from lab.errors import EvidenceError
from lab.evidence.check import Check
from lab.evidence.directory import Endpoint
from lab.evidence.dtls import Handshake, Place
from lab.evidence.dtls_reader import Handshakes, Shown
from lab.evidence.negotiation import Negotiation
from lab.evidence.sdp import Crypto

Secrets = Callable[[], Mapping[bytes, bytes]]
"""Client randoms and their master secrets, as far as one side of each handshake logged them. Asked only where there is a handshake."""


class DtlsProof:
    """Judges flows, given by their ends, by the handshakes that were made between the same ports."""

    def __init__(self, handshakes: Handshakes, negotiation: Negotiation, secrets: Secrets) -> None:
        self._handshakes, self._negotiation, self._ask = handshakes, negotiation, secrets

    @cached_property
    def _secrets(self) -> Mapping[bytes, bytes]:
        return self._ask()

    def _complete(self, interface: int, src: Endpoint, dst: Endpoint) -> Sequence[Handshake]:
        return [handshake for handshake in self._handshakes.between(interface, _place(src), _place(dst)) if handshake.complete]

    def begun(self) -> Iterator[Handshake]:
        """Every handshake that somebody asked for."""
        return self._handshakes.all()

    def shown(self) -> Sequence[Shown]:
        """Every certificate that somebody showed."""
        return self._handshakes.shown

    def fault(self, interface: int, src: Endpoint, dst: Endpoint) -> Check | None:
        """What refutes that `src` and `dst` have keys with each other; None where both showed the certificates that they announced.

        EvidenceError for a handshake that hides them (DTLS 1.3).
        """
        complete = self._complete(interface, src, dst)
        if not complete:
            return Check(False, f"{src} announced DTLS-SRTP and completed no DTLS handshake with {dst}", src.name)
        for handshake in complete:
            if handshake.hidden:
                raise EvidenceError(f"the handshake of {src} with {dst} is DTLS 1.3", remedy="siplab cannot see its certificates yet")
            for end in (src, dst):
                if not self._is_announced(handshake.certificates.get(_place(end), b""), end):
                    what = f"the DTLS certificate of {end} is not that of its a=fingerprint (RFC 5763 §5)"
                    return Check(False, what, end.name, handshake.frame)
            if not handshake.encrypts:
                return Check(False, f"the DTLS handshake of {src} with {dst} agreed on no encryption of SRTP", src.name, handshake.frame)
        return None

    def _is_announced(self, certificate: bytes, end: Endpoint) -> bool:
        return any(fingerprint.matches(certificate) for fingerprint in self._negotiation.fingerprints(end))

    def keys(self, interface: int, src: Endpoint, dst: Endpoint) -> tuple[Crypto, ...]:
        """What `src` protects with; none where neither side logged its secrets."""
        found: list[Crypto] = []
        for handshake in self._complete(interface, src, dst):
            master = self._secrets.get(handshake.client_random)
            found += handshake.srtp_keys(_place(src), master) if master else ()
        return tuple(found)


def _place(end: Endpoint) -> Place:
    return end.address, end.port

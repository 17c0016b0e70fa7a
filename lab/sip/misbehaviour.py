"""Being wrong on purpose, by name: what negative controls are made of."""

from __future__ import annotations

NAMES: dict[str, str] = {
    "drop-ack": "sends no ACK, neither for a 2xx nor for a refusal",
    "reuse-branch": "gives every request the same branch (RFC 3261 §8.1.1.7)",
    "wrong-tag": "answers an INVITE's 2xx with another tag than its 180",
    "plain-under-savp": "agrees to SRTP and sends RTP in clear (RFC 4568 §6)",
    "wrong-fingerprint": "announces the fingerprint of another certificate than its own (RFC 5763 §5)",
    "ignore-cancel": "answers a CANCEL with 200 and lets the call ring on",
    "wrong-tone": "plays another tone than its own",
    "never-answer": "answers no request at all",
    "accept-any-certificate": "does not verify whom it talks TLS to",
    "accept-any-fingerprint": "does not look at the certificate of a DTLS handshake (RFC 5763 §5)",
    "no-digits": "accepts digits and sends none",
}


class Misbehaviours:
    """Those that are switched on."""

    def __init__(self) -> None:
        self._active: set[str] = set()

    def add(self, name: str) -> None:
        """Switch one on. KeyError where there is none of this name."""
        if name not in NAMES:
            raise KeyError(name)
        self._active.add(name)

    def clear(self) -> None:
        """Behave."""
        self._active.clear()

    def __contains__(self, name: str) -> bool:
        return name in self._active

"""Being wrong on purpose, by name: what negative controls are made of."""

from __future__ import annotations

NAMES: dict[str, str] = {
    "accept-any-certificate": "does not verify whom it talks TLS to",
    "accept-any-fingerprint": "does not look at the certificate of a DTLS handshake (RFC 5763 §5)",
    "accept-glare": "accepts an offer that meets one of its own, instead of refusing it with 491 (RFC 3261 §14.2)",
    "ack-without-answer": "acknowledges a 2xx with an offer without an answer (RFC 3264 §4)",
    "bad-replaces": "asks for the replacement of a call with tags that do not exist (RFC 3891 §3)",
    "drop-ack": "sends no ACK, neither for a 2xx nor for a refusal",
    "first-description": "keeps the first description that a branch of a fork gives, whoever answers (RFC 3261 §13.2.1)",
    "ignore-100rel": "sends provisional responses unreliably although reliability is required (RFC 3262 §3)",
    "ignore-bye": "answers a BYE with 200 and lets the call go on",
    "ignore-cancel": "answers a CANCEL with 200 and lets the call ring on",
    "late-ack": "acknowledges a 2xx only when it comes for the third time",
    "never-answer": "answers no request at all",
    "no-description": "answers an INVITE with a 2xx without SDP (RFC 3261 §13.3.1.4)",
    "no-digits": "accepts digits and sends none",
    "no-keep-alive": "keeps none of its flows alive, and does not notice when one has failed (RFC 5626 §4.4)",
    "no-notify": "accepts a subscription and tells nothing (RFC 6665 §4.2.1.2)",
    "no-prack": "acknowledges no reliable provisional response",
    "one-dialog": "acknowledges the 2xx of one branch of a fork and none of the others (RFC 3261 §13.2.2.4)",
    "one-realm": "answers one of several challenges (RFC 3261 §22.3)",
    "plain-under-savp": "agrees to SRTP and sends RTP in clear (RFC 4568 §6)",
    "refresh-never": "neither refreshes a session that it promised to refresh nor ends one that nobody refreshed (RFC 4028 §10)",
    "register-without-auth": "answers no challenge",
    "renumber-flows": "forms a flow that failed anew under a number that it never had (RFC 5626 §4.5)",
    "reuse-branch": "gives every request the same branch (RFC 3261 §8.1.1.7)",
    "talk-on-hold": "says that it holds and plays on (RFC 3264 §8.4)",
    "wrong-fingerprint": "announces the fingerprint of another certificate than its own (RFC 5763 §5)",
    "wrong-tag": "answers an INVITE's 2xx with another tag than its 180",
    "wrong-tone": "plays another tone than its own",
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

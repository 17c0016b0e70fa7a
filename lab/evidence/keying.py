"""How each side wants its media keyed, in its own words: what it offers and what it answers (RFC 3264, RFC 4568, RFC 5763)."""

from __future__ import annotations

from lab.evidence.check import Check
from lab.evidence.message import SipMessage
from lab.evidence.sdp import MediaDescription
from lab.evidence.signalling import Signalling


class Keying:
    """Questions about the session descriptions of a scenario's INVITEs and what answers them."""

    def __init__(self, signalling: Signalling) -> None:
        self._described = signalling.where(lambda m: m.method == "INVITE" and m.sdp is not None, "with a session description")

    def insists(self, element: str, kind: str) -> Check:
        """What `element` offers is media keyed so (`rtp`, `sdes`, `dtls`) and not otherwise, and what it takes were offered so (RFC 3264
        §6); it described some."""
        described = False
        for message in self._described.sent_by(element).where(lambda m: bool(_taken(m)), "with media that are not refused"):
            described = True
            for media in _taken(message):
                found, verb = keying(media), "offers" if message.is_request else "answers"
                if found != kind:
                    return Check(False, f"{element} {verb} {found}, should insist on {kind}", element, message.frame)
            for media in () if message.is_request else self._offered(message):
                if kind not in keying(media).split(" "):
                    what = f"{element} takes an offer of {keying(media)}, should insist on {kind}"
                    return Check(False, what, element, message.frame)
        return Check(described, f"{element} {'insists on' if described else 'describes no media, should insist on'} {kind}", element)

    def _offered(self, answer: SipMessage) -> tuple[MediaDescription, ...]:
        """The media of the request that it answers; none where that left the offer to the answerer (RFC 3261 §13.2.1)."""
        requests = self._described.requests().received_by(answer.src.element)
        return next((_taken(m) for m in requests if (m.call_id, m.cseq) == (answer.call_id, answer.cseq)), ())


def _taken(message: SipMessage) -> tuple[MediaDescription, ...]:
    """Those that are not refused."""
    return tuple(media for media in message.sdp.media if media.port) if message.sdp else ()


def keying(media: MediaDescription) -> str:
    """`rtp`, `sdes` or `dtls`, or in words what is none of them. A key in a profile without SRTP is an offer of either."""
    named = [name for name, told in (("sdes", media.cryptos), ("dtls", media.fingerprints)) if told]
    if not media.secure:
        return " or ".join(["rtp", *named])
    return " and ".join(named) or "SRTP without keys"

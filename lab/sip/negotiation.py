"""Offer and answer of one call (RFC 3264), and the media policy: `sdes` takes SRTP only, `rtp` takes clear RTP only."""

from __future__ import annotations

import secrets
from dataclasses import replace

from . import srtp
from .fault import SdpError
from .media import Agreed, MediaStream
from .sdp import EVENT, PLAIN, SECURE, Audio, Crypto, Session, answer, parse

FORMATS = ((0, "PCMU/8000"), (8, "PCMA/8000"), (101, EVENT))


class Negotiation:
    """The state of one call's descriptions. `direction` is what this side wants."""

    def __init__(self, secure: bool, host: str, stream: MediaStream) -> None:
        self.direction = "sendrecv"
        self.agreed: Agreed | None = None
        self.met = "sendrecv"
        """The direction that both agreed to, as this side sees it."""
        self._secure, self._host, self._stream = secure, host, stream
        self._identity, self._version = secrets.randbits(31), 0
        self._offered: tuple[Crypto, ...] = ()
        self._ours: Crypto | None = None
        self._theirs: Crypto | None = None

    @property
    def encryption(self) -> str:
        """As the agent contract calls it."""
        return "sdes" if self._secure else "none"

    def offer(self) -> bytes:
        """A description of what we want. An offer in a call keeps the key, so that packets under way can still be read."""
        self._version += 1
        if self._secure:
            self._offered = (self._ours,) if self._ours else srtp.offer_lines()
        audio = replace(self._audio(), crypto=self._offered)
        return bytes(Session(audio, self._identity, self._version))

    def accept_answer(self, body: bytes) -> None:
        """Their answer to our offer. SdpError where it is none that our policy takes."""
        theirs = parse(body).audio
        self._check(theirs)
        if self._secure:
            chosen = theirs.crypto[0] if theirs.crypto else None
            ours = next((line for line in self._offered if chosen and (line.tag, line.suite) == (chosen.tag, chosen.suite)), None)
            if chosen is None or ours is None:
                raise SdpError("the answer chose none of the crypto lines offered (RFC 4568 §5.1.3)")
            self._keys(ours, chosen)
        self._agree(theirs, theirs, self._seen(theirs))

    def accept_offer(self, body: bytes) -> bytes:
        """Their offer; returns our answer. SdpError where policy or codecs forbid one: answer 488."""
        offer = parse(body)
        self._check(offer.audio)
        ours = self._audio()
        if self._secure:
            chosen = srtp.choose(offer.audio.crypto)
            key = self._ours.key if self._ours and self._ours.suite == chosen.suite else srtp.new_key()
            line = Crypto(chosen.tag, chosen.suite, key)
            ours = replace(ours, crypto=(line,))
            self._keys(line, chosen)
        self._version += 1
        session = answer(offer, ours, identity=self._identity, version=self._version)
        self._agree(offer.audio, session.audio, session.audio.direction)
        return bytes(session)

    def check_offer(self, body: bytes) -> None:
        """SdpError where `accept_offer` would raise it; changes nothing."""
        offer = parse(body)
        self._check(offer.audio)
        if self._secure:
            srtp.choose(offer.audio.crypto)
        answer(offer, self._audio(), identity=0, version=0)

    def _check(self, theirs: Audio) -> None:
        wanted = SECURE if self._secure else PLAIN
        if theirs.port == 0:
            raise SdpError("the audio stream is refused")
        if theirs.profile != wanted:
            raise SdpError(f"{theirs.profile} where only {wanted} is allowed")

    def _audio(self) -> Audio:
        return Audio(self._host, self._stream.port, FORMATS, self.direction, SECURE if self._secure else PLAIN)

    def _seen(self, theirs: Audio) -> str:
        """The direction of their answer, seen from here."""
        return {"sendonly": "recvonly", "recvonly": "sendonly"}.get(theirs.direction, theirs.direction)

    def _keys(self, ours: Crypto, theirs: Crypto) -> None:
        """Contexts are kept as long as the keys are, or sequence numbers and replay lists would begin again."""
        same = self._theirs is not None and self._ours is not None and (self._theirs.key, self._ours.key) == (theirs.key, ours.key)
        self._pair = self._pair if same else srtp.SrtpPair(ours, theirs)
        self._ours, self._theirs = ours, theirs

    _pair: srtp.SrtpPair | None = None

    def _agree(self, theirs: Audio, formats: Audio, direction: str) -> None:
        """`formats` holds what both have: ours in an answer of ours, theirs in one of theirs."""
        number, codec = next(((n, name) for n, name in formats.formats if name.upper() in ("PCMU/8000", "PCMA/8000")), (None, ""))
        if number is None:
            raise SdpError("no codec in common")
        self.met = direction
        sending, receiving = direction in ("sendrecv", "sendonly"), direction in ("sendrecv", "recvonly")
        digits = formats.payload(EVENT)
        self.agreed = Agreed((theirs.host, theirs.port), codec.upper(), number, digits, sending, receiving, self._pair)
        self._stream.agree(self.agreed)

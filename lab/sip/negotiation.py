"""Offer and answer of one call (RFC 3264), and the media policy: exactly the account's kind of media, never a lesser one."""

from __future__ import annotations

import secrets
from dataclasses import replace

from .fault import SdpError
from .keying import Keying
from .media import Agreed, MediaStream
from .sdp import EVENT, Audio, Session, answer, parse

FORMATS: tuple[tuple[int, str], ...] = ((0, "PCMU/8000"), (8, "PCMA/8000"), (101, EVENT))


class Negotiation:
    """The state of one call's descriptions. `direction` is what this side wants."""

    def __init__(self, keying: Keying, host: str, stream: MediaStream, formats: tuple[tuple[int, str], ...] = FORMATS) -> None:
        self.direction = "sendrecv"
        self.agreed: Agreed | None = None
        self.met = "sendrecv"
        """The direction that both agreed to, as this side sees it."""
        self.encryption = keying.encryption
        self._keying, self._host, self._stream, self._formats = keying, host, stream, formats
        self._identity, self._version = secrets.randbits(31), 0

    def offer(self) -> bytes:
        """A description of what we want."""
        self._version += 1
        return bytes(Session(self._keying.offer(self._audio()), self._identity, self._version))

    def accept_answer(self, body: bytes) -> None:
        """Their answer to our offer. SdpError where it is none that our policy takes."""
        theirs = parse(body).audio
        self._check(theirs)
        self._keying.accept(theirs)
        self._agree(theirs, theirs, self._seen(theirs), self._audio())

    def accept_offer(self, body: bytes) -> bytes:
        """Their offer; returns our answer. SdpError where policy or codecs forbid one: answer 488."""
        offer = self.check_offer(body)
        ours = self._keying.answer(self._audio(), offer.audio)
        ours = replace(ours, rtcp_mux=ours.rtcp_mux and offer.audio.rtcp_mux)
        self._version += 1
        session = answer(offer, ours, identity=self._identity, version=self._version)
        self._agree(offer.audio, session.audio, session.audio.direction, session.audio)
        return bytes(session)

    def check_offer(self, body: bytes) -> Session:
        """Their offer, read. SdpError where it cannot be answered; changes nothing."""
        offer = parse(body)
        self._check(offer.audio)
        self._keying.check(offer.audio)
        answer(offer, self._audio(), identity=0, version=0)
        return offer

    def _check(self, theirs: Audio) -> None:
        if theirs.port == 0:
            raise SdpError("the audio stream is refused")
        if (":" in theirs.host) != (":" in self._host):
            raise SdpError(f"media at {theirs.host} cannot be reached from {self._host}")
        if theirs.profile not in self._keying.profiles:
            raise SdpError(f"{theirs.profile} where only {' or '.join(self._keying.profiles)} is allowed")

    def _audio(self) -> Audio:
        return Audio(self._host, self._stream.port, self._formats, self.direction, self._keying.profiles[0])

    def _seen(self, theirs: Audio) -> str:
        """The direction of their answer, seen from here."""
        return {"sendonly": "recvonly", "recvonly": "sendonly"}.get(theirs.direction, theirs.direction)

    def _agree(self, theirs: Audio, formats: Audio, direction: str, ours: Audio) -> None:
        """`formats` holds what both have: ours in an answer of ours, theirs in one of theirs. `ours` is what we have said."""
        number, codec = next(((n, name) for n, name in formats.formats if name.upper() in ("PCMU/8000", "PCMA/8000")), (None, ""))
        if number is None:
            raise SdpError("no codec in common")
        self.met = direction
        sending, receiving = direction in ("sendrecv", "sendonly"), direction in ("sendrecv", "recvonly")
        digits = formats.payload(EVENT)
        here = None if digits is None else ours.payload(EVENT)
        self.agreed = Agreed((theirs.host, theirs.port), codec.upper(), number, digits, here, sending, receiving, self._keying.protection)
        self._stream.agree(self.agreed)

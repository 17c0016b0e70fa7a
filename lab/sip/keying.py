"""Where the keys of a call's SRTP come from: nowhere (`rtp`), the SDP (`sdes`), a handshake (`dtls`). Each takes exactly its own kind."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

from . import srtp
from .dtls import Identity, Terms
from .fault import SdpError
from .sdp import PLAIN, SECURE, SECURE_DTLS, Audio, Crypto


class Keying(Protocol):
    """What offers, answers and their reading differ in. One per call; `check` changes nothing."""

    @property
    def encryption(self) -> str:
        """As the agent contract calls it."""

    @property
    def profiles(self) -> tuple[str, ...]:
        """Profiles of an m= line that are taken, the one that is offered first."""

    @property
    def protection(self) -> srtp.SrtpPair | Terms | None:
        """What offer and answer came to."""

    def offer(self, ours: Audio) -> Audio:
        """Our offer, with keys in it."""

    def check(self, theirs: Audio) -> None:
        """SdpError where their offer cannot be answered."""

    def answer(self, ours: Audio, theirs: Audio) -> Audio:
        """Our answer to their offer."""

    def accept(self, theirs: Audio) -> None:
        """Their answer to our offer. SdpError where it is none that our policy takes."""


class Clear:
    """Plain RTP."""

    encryption = "none"
    profiles = (PLAIN,)
    protection = None

    def offer(self, ours: Audio) -> Audio:
        """As it is."""
        return ours

    def check(self, theirs: Audio) -> None:
        """Nothing to find fault with."""

    def answer(self, ours: Audio, theirs: Audio) -> Audio:
        """As it is."""
        return ours

    def accept(self, theirs: Audio) -> None:
        """Nothing to learn."""


class Sdes:
    """Keys in the SDP (RFC 4568). An offer in a call keeps the key, so that packets under way can still be read."""

    encryption = "sdes"
    profiles = (SECURE,)

    def __init__(self) -> None:
        self.protection: srtp.SrtpPair | None = None
        self._offered: tuple[Crypto, ...] = ()

    def offer(self, ours: Audio) -> Audio:
        """Every suite that we do, or the one in use."""
        self._offered = (self.protection.ours,) if self.protection else srtp.offer_lines()
        return replace(ours, crypto=self._offered)

    def check(self, theirs: Audio) -> None:
        """There is a line that we can do."""
        srtp.choose(theirs.crypto)

    def answer(self, ours: Audio, theirs: Audio) -> Audio:
        """The chosen line with our key (RFC 4568 §5.1.2)."""
        chosen = srtp.choose(theirs.crypto)
        used = self.protection.ours if self.protection else None
        line = Crypto(chosen.tag, chosen.suite, used.key if used and used.suite == chosen.suite else srtp.new_key())
        self._use(line, chosen)
        return replace(ours, crypto=(line,))

    def accept(self, theirs: Audio) -> None:
        """They must have chosen one of our lines (RFC 4568 §5.1.3)."""
        chosen = theirs.crypto[0] if theirs.crypto else None
        ours = next((line for line in self._offered if chosen and (line.tag, line.suite) == (chosen.tag, chosen.suite)), None)
        if chosen is None or ours is None:
            raise SdpError("the answer chose none of the crypto lines offered (RFC 4568 §5.1.3)")
        self._use(ours, chosen)

    def _use(self, ours: Crypto, theirs: Crypto) -> None:
        """The pair in use is kept where neither key is new."""
        known = self.protection
        if known is None or not (known.ours.same_key(ours) and known.theirs.same_key(theirs)):
            self.protection = srtp.SrtpPair(ours, theirs, known)


class Dtls:
    """A handshake between certificates whose fingerprints the SDP tells (RFC 5763).

    Misbehaviours: `lying` tells the fingerprint of another certificate, `trusting` does not look at the other side's.
    """

    encryption = "dtls"
    profiles = SECURE_DTLS

    def __init__(self, identity: Identity, *, lying: bool = False, trusting: bool = False) -> None:
        self.protection: Terms | None = None
        self._identity, self._trusting = identity, trusting
        self._announced = identity.fingerprint.of(b"somebody else's") if lying else identity.fingerprint

    def offer(self, ours: Audio) -> Audio:
        """Either role, as RFC 5763 §5 wants it; in a call too (RFC 8842 §5.5)."""
        return self._furnished(ours, "actpass")

    def check(self, theirs: Audio) -> None:
        """There is a fingerprint, and a role left for us."""
        self._terms(theirs, {"actpass": True, "passive": True, "active": False})

    def answer(self, ours: Audio, theirs: Audio) -> Audio:
        """We begin the handshake where we may choose; in a call everybody keeps its role (RFC 8842 §5.3)."""
        begun = self.protection.active if self.protection else True
        self.protection = self._terms(theirs, {"actpass": begun, "passive": True, "active": False})
        return self._furnished(ours, "active" if self.protection.active else "passive")

    def accept(self, theirs: Audio) -> None:
        """They have chosen."""
        self.protection = self._terms(theirs, {"passive": True, "active": False})

    def _furnished(self, ours: Audio, setup: str) -> Audio:
        return replace(ours, fingerprints=(self._announced,), setup=setup, rtcp_mux=True)

    def _terms(self, theirs: Audio, roles: dict[str, bool]) -> Terms:
        if not theirs.fingerprints:
            raise SdpError("no a=fingerprint that can be read (RFC 5763 §5)")
        if theirs.setup not in roles:
            raise SdpError(f"a=setup:{theirs.setup} where one of {', '.join(roles)} is allowed (RFC 5763 §5)")
        return Terms(self._identity, roles[theirs.setup], theirs.fingerprints, self._trusting)

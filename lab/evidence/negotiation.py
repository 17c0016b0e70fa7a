"""Which keys the offers and answers of a scenario agreed on (RFC 3264, RFC 4568), and which certificates they announced (RFC 5763)."""

from __future__ import annotations

import re
from collections import defaultdict

from lab.evidence.directory import Endpoint
from lab.evidence.message import SipMessage
from lab.evidence.sdp import Crypto, Fingerprint, MediaDescription, Sdp
from lab.evidence.signalling import Signalling

Exchange = dict[str, list[SipMessage]]


class Negotiation:
    """Looks up, for who sends media from an address and port, what that sender announced."""

    def __init__(self, signalling: Signalling) -> None:
        self._keys: dict[tuple[str, int], list[Crypto]] = defaultdict(list)
        self._fingerprints: dict[tuple[str, int], list[Fingerprint]] = defaultdict(list)
        self._events: dict[tuple[str, int], set[int]] = defaultdict(set)
        exchanges: dict[tuple[str, int | None], list[Sdp]] = defaultdict(list)
        for message in signalling:
            descriptions = exchanges[message.call_id, message.cseq]
            if message.sdp and message.sdp.text not in [sdp.text for sdp in descriptions]:
                descriptions.append(message.sdp)
        for descriptions in exchanges.values():
            self._learn(descriptions)

    def _learn(self, descriptions: list[Sdp]) -> None:
        """Offer and answer share Call-ID and CSeq number: INVITE and 2xx, or 2xx and ACK."""
        offer, *answers = descriptions or [Sdp("")]
        for index, media in enumerate(offer.media):
            replies = [answer.media[index] for answer in answers if index < len(answer.media)]
            chosen = {crypto.tag for reply in replies for crypto in reply.cryptos}
            if not chosen and any(reply.fingerprints for reply in replies):
                chosen = {"none: DTLS was"}
            self._add(media, chosen)
            for reply in replies:
                self._add(reply, chosen)

    def _add(self, media: MediaDescription, chosen: set[str]) -> None:
        """Keys of the tags that the answer chose; all of an offer that nobody answered."""
        place = (media.address, media.port)
        if not media.port:
            return
        mapped = (re.match(r"rtpmap:(\d+)\s+telephone-event/", line, re.IGNORECASE) for line in media.attributes)
        self._events[place].update(int(found[1]) for found in mapped if found)
        if media.secure:
            self._fingerprints[place].extend(media.fingerprints)
        for crypto in media.cryptos if media.secure else ():
            if (not chosen or crypto.tag in chosen) and crypto not in self._keys[place]:
                self._keys[place].append(crypto)

    def keys(self, sender: Endpoint) -> tuple[Crypto, ...]:
        """SDES keys announced by who sends from this address and port."""
        return tuple(self._keys.get((sender.address, sender.port), ()))

    def fingerprints(self, sender: Endpoint) -> tuple[Fingerprint, ...]:
        """Certificates announced by who sends from this address and port, where it announced no SDES key."""
        return () if self.keys(sender) else tuple(self._fingerprints.get((sender.address, sender.port), ()))

    def telephone_events(self, *ends: Endpoint) -> set[int]:
        """Payload types that either end maps to telephone-event (RFC 4733 §7.1; the receiver's numbers rule, RFC 3264 §5.1)."""
        return set().union(*(self._events.get((end.address, end.port), set()) for end in ends))

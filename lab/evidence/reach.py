"""How one element gets requests to where they belong: to which next hop, over which family, in what time, of many how many."""

from __future__ import annotations

import math
from collections.abc import Mapping
from copy import copy
from typing import TYPE_CHECKING

from lab.evidence.check import Check
from lab.evidence.message import CHALLENGES

if TYPE_CHECKING:
    from lab.evidence.signalling import Signalling


class Reach:
    """Requests of one method at one element, one per Call-ID, in order of arrival; for users of one domain only where that is given.

    `seconds` are from the first arrival there to the 2xx that leaves it again, infinite without one. Failures are blamed on the element.
    """

    def __init__(self, signalling: Signalling, method: str, element: str, domain: str = "") -> None:
        asked = signalling.requests(method).where(lambda m: domain in m.uri.partition("@")[2], f"for {domain}" if domain else "for anybody")
        self.element = element
        self._method = method
        self._where = f"to {domain}" if domain else "in all"
        self._sent = asked.sent_by(element)
        arrived = asked.received_by(element)
        answers = signalling.responses(method=method).sent_by(element)
        answered = answers.where(lambda m: 200 <= (m.status or 0) < 300)
        self.seconds = tuple(self._took(arrived.call(call_id), answered.call(call_id)) for call_id in arrived.call_ids)
        refused = answers.where(lambda m: (m.status or 0) >= 300 and m.status not in CHALLENGES and m.call_id in arrived.call_ids)
        self._refusals = sorted({m.status for m in refused if m.status})

    @staticmethod
    def _took(asked: Signalling, answered: Signalling) -> float:
        return answered[0].time - asked[0].time if answered else math.inf

    def since(self, number: int) -> Reach:
        """Without the first `number` of them."""
        later = copy(self)
        later.seconds = self.seconds[number:]
        return later

    @property
    def p95(self) -> float:
        """The 95th percentile of `seconds` (nearest rank); infinite where there is none."""
        return sorted(self.seconds)[math.ceil(0.95 * len(self.seconds)) - 1] if self.seconds else math.inf

    def answered(self, least: float, *, of: int, within: float) -> Check:
        """Of `of` requests at least this share had its 2xx within so many seconds."""
        count = sum(seconds <= within for seconds in self.seconds)
        others = f" (refused: {', '.join(map(str, self._refusals))})" if self._refusals else ""
        what = f"{count} of {of} {self._method} {self._where} were answered within {within:g} s{others}"
        return Check(count >= least * of, what, self.element)

    def no_slower_than(self, p95: float, *, by: float) -> Check:
        """The 95th percentile is no more than `by` seconds above this one. Without an answer there is none that could be."""
        what = f"p95 of {self._method} {self._where}: {self.p95:.3f} s, {p95:.3f} s before"
        return Check(math.isfinite(self.p95) and self.p95 <= p95 + by, what, self.element)

    def split(self, shares: Mapping[str, range], *, of: int) -> Check:
        """`of` requests went on, and each of these next hops got a share in its range."""
        found = {name: len(set(self._sent.received_by(name).call_ids)) for name in shares}
        wrong = [name for name, count in found.items() if count not in shares[name]]
        what = f"{', '.join(f'{count} to {name}' for name, count in found.items())} of {of} {self._method}"
        return Check(not wrong and sum(found.values()) == of, what, self.element)

    def failed_over(self, first: str, second: str, *, within: float) -> Check:
        """It tried `first`, and then `second` no more than `within` seconds later (RFC 3263 §4.3)."""
        tried, reached = self._sent.received_by(first), self._sent.received_by(second)
        if not tried or not reached or tried[0].time > reached[0].time:
            missing = second if tried else first
            return Check(False, f"{self.element} sent no {self._method} to {missing}", self.element)
        took = reached[0].time - tried[0].time
        what = f"{self._method} went to {second} {took:.1f} s after {first}"
        return Check(took <= within, what, self.element, reached[0].frame)

    def over(self, family: int, to: str) -> Check:
        """It reached `to`, over IPv4 or IPv6 alone."""
        sent = self._sent.received_by(to)
        for message in sent:
            if (":" in message.dst.address) != (family == 6):
                return Check(False, f"{message.label} went to {message.dst}, not over IPv{family}", self.element, message.frame)
        return Check(bool(sent), f"{len(sent)} {self._method} from {self.element} to {to} over IPv{family}", self.element)

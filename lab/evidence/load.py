"""How a load was met: what who offers too much is told, and what everybody else gets (RFC 3261 §21.5.4, RFC 7339)."""

from __future__ import annotations

from lab.errors import EvidenceError
from lab.evidence.check import Check
from lab.evidence.signalling import Signalling

OVERLOADED = 503


class Load:
    """The requests of one method that an element sent to its next hops, and the responses that it got."""

    def __init__(self, element: str, method: str, signalling: Signalling) -> None:
        self._element, self._method = element, method
        self._requests = signalling.requests(method).sent_by(element)
        self._responses = signalling.responses(method=method).received_by(element)

    @property
    def offered(self) -> int:
        """Requests that were sent."""
        return len(self._requests)

    def shed(self, share: float) -> Check:
        """At least this share was refused by 503, each time with a time to wait in Retry-After, and next to nothing is unanswered."""
        if not self._requests:
            raise EvidenceError(f"{self._element} sent no {self._method}", remedy="was there any load?")
        refused = [m for m in self._responses if m.status == OVERLOADED]
        server = self._requests[0].dst.name
        mute = next((m for m in refused if not m.header("Retry-After").split(";")[0].strip().isdecimal()), None)
        if mute is not None:
            return Check(False, f"{OVERLOADED} from {server} without Retry-After", server, mute.frame)
        if len(refused) < share * self.offered:
            what = f"{len(refused)} of {self.offered} {self._method} of {self._element} were answered {OVERLOADED}, should be {share:.0%}"
            return Check(False, what, server, self._requests[0].frame)
        lost = self.offered - len({m.branch for m in self._responses if (m.status or 0) >= 200})
        if lost > 0.05 * self.offered:
            return Check(
                False, f"{lost} of {self.offered} {self._method} of {self._element} got no answer", server, self._requests[-1].frame
            )
        return Check(True, f"{len(refused)} of {self.offered} {self._method} of {self._element} were refused with Retry-After")

"""Two offers that cross (RFC 3261 §14, RFC 3311 §5): who must refuse, and how long to wait before another try."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

STEP = 0.01
"""Seconds: delays are whole multiples (RFC 3261 §14.1)."""


@dataclass
class Offers:
    """Which offers of one dialog wait for their answer."""

    ours: bool = False
    theirs: bool = False

    def refusal(self) -> int | None:
        """The code for an offer that comes now: 491 where it meets ours, 500 (with Retry-After) where theirs waits still; None: take it."""
        if self.ours:
            return 491
        return 500 if self.theirs else None


def retry_after(owns_call_id: bool) -> float:
    """Seconds to wait after a 491: 2.1 to 4 for the one who made the Call-ID, 0 to 2 for the other (RFC 3261 §14.1)."""
    steps = 210 + secrets.randbelow(191) if owns_call_id else secrets.randbelow(201)
    return steps * STEP

"""The timers of RFC 3261 table 4, in seconds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Timing:
    """T1 is the round trip that is assumed, T2 the longest interval between retransmissions, T4 how long a message stays in the network."""

    t1: float = 0.5
    t2: float = 4.0
    t4: float = 5.0

    @property
    def timeout(self) -> float:
        """64*T1: timers B, F, H, J, L and M (RFC 6026 for the last two)."""
        return 64 * self.t1


STANDARD = Timing()
TIMER_D = 32.0
"""How long an unreliable INVITE client waits for retransmitted final responses."""

"""What all events of a capture have in common."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Captured:
    """Something that the capture has: in which frame, and when, in seconds since the epoch."""

    frame: int
    time: float

    @property
    def when(self) -> tuple[float, int]:
        """Orders events. Frame numbers alone do not: what several networks carry at once is captured batch by batch."""
        return self.time, self.frame

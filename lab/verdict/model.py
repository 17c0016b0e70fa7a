"""What a cell ends with. Pure data: decided once, never rewritten."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """The six ways a cell can end; see docs/reference/results.md."""

    PASS = "pass"
    FAIL = "fail"
    UNSUPPORTED = "unsupported"
    INCONCLUSIVE = "inconclusive"
    XFAIL = "xfail"
    XPASS = "xpass"


@dataclass(frozen=True)
class Verdict:
    """Status with its reason (one line), who is to blame (an element's name, `lab` or empty) and at which step."""

    status: Status
    reason: str = ""
    blame: str = ""
    step: str = ""


@dataclass(frozen=True)
class Attempt:
    """One try of a cell. All are kept."""

    verdict: Verdict
    started: float
    seconds: float
    evidence: tuple[str, ...] = ()  # paths relative to the run folder


@dataclass(frozen=True)
class Cell:
    """Scenario × pairing, as one line of cells.jsonl.

    `binding` maps element to `vendor@flavour`. The verdict is the last attempt's. `scenario` is the JUnit test name. `about` names the
    elements that the scenario judges, where those are fewer than a pairing varies.
    """

    schema: int
    run: str
    pairing: str
    topology: str
    binding: dict[str, str]
    scenario: str
    title: str
    attempts: tuple[Attempt, ...]
    about: tuple[str, ...] = ()

    @property
    def judged(self) -> dict[str, str]:
        """The part of the binding that the verdict speaks of."""
        return {element: vendor for element, vendor in self.binding.items() if not self.about or element in self.about}

    @property
    def verdict(self) -> Verdict:
        """The verdict that counts: the last attempt's."""
        return self.attempts[-1].verdict

"""Known failures: a versioned file with reason and expiry, so that a red cell that everybody knows does not hide a new one.

`binding` maps elements to `vendor` or `vendor@flavour`. An entry excuses the failure that it describes and no other one of the same cell,
and none at all when it has expired: known failures must be looked at again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from lab.verdict.model import Verdict


@dataclass(frozen=True)
class Expectation:
    """One known failure. `scenario` is the cell's scenario name, or its part before `[`; `topologies` are those on which, none given: all.

    `match` (a pattern, looked for in the verdict's reason) and `blame` (an element; None where it varies) say which failure is meant.
    `permits` is the RFC section by which both sides are right. With `sometimes` the failure hangs on a number that an element draws, so
    that a pass is no news.
    """

    scenario: str
    binding: Mapping[str, str]
    match: str
    reason: str
    expires: date
    blame: str | None = None
    permits: str | None = None
    sometimes: bool = False
    topologies: tuple[str, ...] = ()

    @property
    def explanation(self) -> str:
        """What stands behind the verdict's own reason."""
        return f"known, {self.permits} permits it: {self.reason}" if self.permits else f"known: {self.reason}"

    def describes(self, verdict: Verdict) -> bool:
        """Is this the failure that is meant?"""
        return self.blame in (None, verdict.blame) and re.search(self.match, verdict.reason) is not None

    def covers(self, scenario: str, topology: str, binding: Mapping[str, str], today: date) -> bool:
        """Does this entry speak of that cell, today?"""
        if self.topologies and topology not in self.topologies:
            return False
        if today > self.expires or self.scenario not in (scenario, scenario.split("[", 1)[0]):
            return False
        return all(_same(wanted, binding.get(element, "")) for element, wanted in self.binding.items())


def _same(wanted: str, actual: str) -> bool:
    return actual == wanted or ("@" not in wanted and actual.split("@", 1)[0] == wanted)


def known(entries: Sequence[Expectation], scenario: str, topology: str, binding: Mapping[str, str], today: date) -> list[Expectation]:
    """The entries that speak of a cell."""
    return [entry for entry in entries if entry.covers(scenario, topology, binding, today)]

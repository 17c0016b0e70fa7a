"""Known failures: a versioned file with reason and expiry, so that a red cell that everybody knows does not hide a new one.

The file is a list of entries `{scenario, binding, reason, expires}`; `binding` maps elements to `vendor` or `vendor@flavour`. An
expired entry no longer excuses anything: known failures must be looked at again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True)
class Expectation:
    """One known failure. `scenario` is the cell's scenario name, or its part before `[`."""

    scenario: str
    binding: Mapping[str, str]
    reason: str
    expires: date

    def covers(self, scenario: str, binding: Mapping[str, str], today: date) -> bool:
        """Does this entry speak of that cell, today?"""
        if today > self.expires or self.scenario not in (scenario, scenario.split("[", 1)[0]):
            return False
        return all(_same(wanted, binding.get(element, "")) for element, wanted in self.binding.items())


def _same(wanted: str, actual: str) -> bool:
    return actual == wanted or ("@" not in wanted and actual.split("@", 1)[0] == wanted)


def reason_for(entries: Sequence[Expectation], scenario: str, binding: Mapping[str, str], today: date) -> str | None:
    """The reason of the first entry that covers the cell, or None."""
    return next((entry.reason for entry in entries if entry.covers(scenario, binding, today)), None)

"""From the cells of a check to what is proven. Pure: a row per check of the contract and per capability."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from lab.conformance.probes import Subject
from lab.spec.capability import CAPABILITIES
from lab.verdict.model import Cell, Status, Verdict

SCHEMA = 1
PASSED = (Status.PASS, Status.XPASS)
FAILED = (Status.FAIL, Status.XFAIL)
"""A failure that is known is a failure here: a check measures."""


class Outcome(StrEnum):
    """What a check found out."""

    PROVEN = "proven"
    REFUTED = "refuted"
    UNDECLARED = "works but undeclared"
    ABSENT = "absent"
    UNPROBED = "not probed"


@dataclass(frozen=True)
class Row:
    """One line of the table. `kind` is `contract` or `capability`; `cells` are where to look, `seconds` what all of its probes took."""

    kind: str
    name: str
    declared: bool
    outcome: Outcome
    reason: str = ""
    cells: tuple[str, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True)
class Conclusion:
    """What a check found out about one flavour of a vendor. `lab_faults` are cells that it needs and that told nothing."""

    vendor: str
    flavour: str
    version: str
    image: str
    against: str
    run: str
    checked: str
    rows: tuple[Row, ...]
    lab_faults: tuple[str, ...] = ()

    @property
    def conforms(self) -> bool:
        """Nothing that the contract or the manifest says was refuted, and all of the contract's own checks were made."""
        return self.exit_code == 0

    @property
    def exit_code(self) -> int:
        """0 conforms, 1 does not, 3 the lab could not tell."""
        if any(row.outcome is Outcome.REFUTED for row in self.rows):
            return 1
        unclear = any(row.kind == "contract" and row.outcome is not Outcome.PROVEN for row in self.rows)
        return 3 if unclear or self.lab_faults else 0

    def names(self, outcome: Outcome) -> list[str]:
        """Capabilities with this outcome."""
        return [row.name for row in self.rows if row.kind == "capability" and row.outcome is outcome]

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"schema": SCHEMA, **asdict(self), "conforms": self.conforms, "exit_code": self.exit_code}


def conclude(subject: Subject, cells: Sequence[Cell], declared: Iterable[str], about: Mapping[str, str]) -> Conclusion:
    """All rows: the contract's checks first, then every capability that the role can have or that is declared.

    Of a cell that was repeated with another partner the last one counts, as only that a partner failed is a reason to repeat it. `about`
    holds the conclusion's texts.
    """
    last = {cell.scenario: cell for cell in cells}
    has = frozenset(declared)
    rows = [_row(subject, "contract", name, True, last) for name in subject.contract]
    rows += [_row(subject, "capability", name, name in has, last) for name in CAPABILITIES if name in has or name in subject.probes]
    asked = {probe for row in rows if row.declared for probe in row.cells}
    faults = tuple(name for name, cell in last.items() if cell.verdict.status is Status.INCONCLUSIVE and name in asked)
    return Conclusion(**about, rows=tuple(rows), lab_faults=faults)


def _row(subject: Subject, kind: str, name: str, declared: bool, cells: Mapping[str, Cell]) -> Row:
    probes = (subject.contract if kind == "contract" else subject.probes).get(name, ())
    found = {probe: cells[probe].verdict if probe in cells else None for probe in probes}
    seconds = round(sum(cells[probe].attempts[-1].seconds for probe in probes if probe in cells), 3)
    own = {probe: subject.on(cells[probe].topology).under_test for probe in probes if probe in cells}
    failed = {probe: verdict for probe, verdict in found.items() if verdict and verdict.status in FAILED and verdict.blame == own[probe]}
    if failed:
        outcome, reason = Outcome.REFUTED if declared else Outcome.ABSENT, _reason(next(iter(failed.values())), declared)
        return Row(kind, name, declared, outcome, reason, tuple(failed), seconds)
    if probes and all(verdict and verdict.status in PASSED for verdict in found.values()):
        return Row(kind, name, declared, Outcome.PROVEN if declared else Outcome.UNDECLARED, "", probes, seconds)
    return Row(kind, name, declared, Outcome.UNPROBED, _why_not(found), probes, seconds)


def _reason(verdict: Verdict, declared: bool) -> str:
    """What was not declared needs no explanation from the log, and nobody said that it was."""
    return verdict.reason if declared else verdict.reason.removeprefix("declared, but: ").partition("; last log lines:")[0]


def _why_not(found: Mapping[str, Verdict | None]) -> str:
    if not found:
        return "no probe exists"
    for probe, verdict in found.items():
        if verdict is None:
            return f"{probe} was not run"
        if verdict.status in FAILED:
            return f"{probe} failed, and {verdict.blame or 'nobody'} is to blame: {verdict.reason}"
        if verdict.status not in PASSED:
            return verdict.reason
    return ""

"""What changed between runs of the same cells: news for a vendor's CI, and the measure of a lab that repeats itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lab.report.run import Run
from lab.verdict.model import Cell, Verdict


@dataclass(frozen=True)
class Change:
    """A cell and its verdict in each run, None where a run does not have it."""

    topology: str
    pairing: str
    scenario: str
    verdicts: tuple[Verdict | None, ...]

    @property
    def changed(self) -> bool:
        """Judged in every run, and not the same: another status, or another one to blame."""
        found = {(verdict.status, verdict.blame) for verdict in self.verdicts if verdict}
        return None not in self.verdicts and len(found) > 1

    @property
    def reason(self) -> str:
        """Why the newest verdict is what it is; where that has none, why the newest one that has."""
        return next((verdict.reason for verdict in reversed(self.verdicts) if verdict and verdict.reason), "")


@dataclass(frozen=True)
class Difference:
    """Runs, oldest first, and every cell that not all of them judged alike."""

    runs: tuple[str, ...]
    compared: int
    changes: tuple[Change, ...]

    @property
    def changed(self) -> list[Change]:
        """Cells that all runs have, with different verdicts."""
        return [change for change in self.changes if change.changed]

    @property
    def missing(self) -> list[Change]:
        """Cells that some runs lack."""
        return [change for change in self.changes if None in change.verdicts]

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "schema": 1,
            "runs": list(self.runs),
            "compared": self.compared,
            "changed": [_as_dict(change) for change in self.changed],
            "missing": [_as_dict(change) for change in self.missing],
        }


def compare(runs: Sequence[Run]) -> Difference:
    """Hold the cells of runs against each other, by topology, pairing and scenario."""
    judged = [{key_of(cell): cell.verdict for cell in run.cells()} for run in runs]
    keys = list(dict.fromkeys(key for verdicts in judged for key in verdicts))
    cells = [Change(*key, tuple(verdicts.get(key) for verdicts in judged)) for key in keys]
    shared = sum(None not in cell.verdicts for cell in cells)
    return Difference(tuple(run.id for run in runs), shared, tuple(cell for cell in cells if cell.changed or None in cell.verdicts))


def key_of(cell: Cell) -> tuple[str, str, str]:
    """What makes a cell the same cell in another run: its pairing, or the elements that it judges."""
    return cell.topology, "--".join(map("-".join, cell.judged.items())) if cell.about else cell.pairing, cell.scenario


def _as_dict(change: Change) -> dict[str, Any]:
    return {
        "topology": change.topology,
        "pairing": change.pairing,
        "scenario": change.scenario,
        "verdicts": [
            verdict and {"status": verdict.status.value, "blame": verdict.blame, "reason": verdict.reason} for verdict in change.verdicts
        ],
    }

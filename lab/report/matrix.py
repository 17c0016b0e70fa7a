"""The matrix: who talks to whom, and how well."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lab.report.run import Run
from lab.verdict.model import Cell, Status

SYMBOLS = {
    Status.PASS: "✓",
    Status.FAIL: "✗",
    Status.UNSUPPORTED: "–",
    Status.INCONCLUSIVE: "?",
    Status.XFAIL: "x",
    Status.XPASS: "!",
}


@dataclass(frozen=True)
class Matrix:
    """Cells arranged for people: rows and columns are the values of the first two elements that a pairing varies."""

    row_element: str
    column_element: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    cells: tuple[Cell, ...]

    def at(self, row: str, column: str) -> list[Cell]:
        """All scenarios of the pairings in this square."""
        return [
            cell
            for cell in self.cells
            if (cell.judged.get(self.row_element, ""), cell.judged.get(self.column_element, "")) == (row, column)
        ]

    def label(self, element: str, value: str) -> str:
        """A row's or a column's heading; the empty value stands for cells that do not judge that element."""
        return value or (f"any {element}" if element else "")

    def sides(self, cell: Cell) -> str:
        """Who was judged: row and column, or whoever it was where those were not."""
        pair = [cell.judged[element] for element in (self.row_element, self.column_element) if element in cell.judged]
        return " → ".join(pair or cell.judged.values())

    def tally(self, row: str, column: str) -> str:
        """What the square holds; nothing to say where it could hold only cells that judge neither or one, and there are none."""
        found = self.at(row, column)
        return tally(found) if found or (row and column) else ""

    def scenarios(self) -> list[str]:
        """Scenario names in the order in which they first ran."""
        return list(dict.fromkeys(cell.scenario for cell in self.cells))


def arrange(cells: Sequence[Cell]) -> Matrix:
    """Find the two elements that vary most; a run that varies one element has one column, a single pairing one square."""
    values: dict[str, list[str]] = {}
    for cell in cells:
        for element, vendor in cell.binding.items():
            seen = values.setdefault(element, [])
            if vendor not in seen:
                seen.append(vendor)
    order = sorted(values, key=lambda element: -min(len(values[element]), 2))
    row, column = [*order, "", ""][:2]
    return Matrix(row, column, _values(row, cells), _values(column, cells), tuple(cells))


def _values(element: str, cells: Sequence[Cell]) -> tuple[str, ...]:
    """What an element was, and last the empty value where there are cells that do not judge it."""
    found = {cell.judged.get(element, "") for cell in cells}
    return (*sorted(found - {""}), *(found & {""})) or ("",)


def counts(cells: Sequence[Cell]) -> dict[str, int]:
    """How many cells of each status, all six named."""
    found = Counter(cell.verdict.status for cell in cells)
    return {status.value: found.get(status, 0) for status in Status}


def tally(cells: Sequence[Cell]) -> str:
    """`14✓ 1✗ 2–`: what a square of the text matrix holds."""
    found = Counter(cell.verdict.status for cell in cells)
    parts = [f"{found[status]}{SYMBOLS[status]}" for status in Status if found[status]]
    return " ".join(parts) or "not run"


def matrix_json(run: Run) -> dict[str, Any]:
    """matrix.json: the same for machines, without any need to know the folder's layout."""
    cells = run.cells()
    matrix = arrange(cells)
    return {
        "schema": 1,
        "run": run.id,
        "rows": {"element": matrix.row_element, "values": list(matrix.rows)},
        "columns": {"element": matrix.column_element, "values": list(matrix.columns)},
        "scenarios": matrix.scenarios(),
        "counts": counts(cells),
        "cells": [
            {
                "pairing": cell.pairing,
                "topology": cell.topology,
                "binding": cell.binding,
                "scenario": cell.scenario,
                "status": cell.verdict.status.value,
                "reason": cell.verdict.reason,
                "blame": cell.verdict.blame,
                "step": cell.verdict.step,
                "attempts": len(cell.attempts),
                "seconds": round(cell.attempts[-1].seconds, 3),
                "evidence": list(cell.attempts[-1].evidence),
            }
            for cell in cells
        ],
    }

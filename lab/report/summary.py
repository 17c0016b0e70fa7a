"""The matrix for a terminal, and the one line on every red cell."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from lab.report.matrix import SYMBOLS, arrange
from lab.report.text import plural
from lab.verdict.decide import one_line
from lab.verdict.model import Cell, Status

COLOURS = {
    Status.PASS: "green",
    Status.FAIL: "bold red",
    Status.UNSUPPORTED: "dim",
    Status.INCONCLUSIVE: "yellow",
    Status.XFAIL: "magenta",
    Status.XPASS: "bold magenta",
}


def summary(cells: Sequence[Cell], title: str = "") -> RenderableType:
    """Matrix of tallies under its title, the legend, a line for each cell that needs eyes, one for each capability that is lacking."""
    matrix = arrange(cells)
    table = Table(
        title=f"{matrix.row_element} ↓  {matrix.column_element} →" if matrix.column_element else None,
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    table.add_column("")
    for column in matrix.columns:
        table.add_column(matrix.label(matrix.column_element, column))
    for row in matrix.rows:
        heading = matrix.label(matrix.row_element, row)
        table.add_row(heading, *[Text(matrix.tally(row, column), _worst(matrix.at(row, column))) for column in matrix.columns])
    legend = Text("  ".join(f"{symbol} {status.value}" for status, symbol in SYMBOLS.items()), "dim")
    above = [Text(title, "bold")] if title else []
    return Group(*above, table, legend, *red_lines(cells), *unsupported_lines(cells))


def red_lines(cells: Sequence[Cell]) -> list[Text]:
    """Fail, unexpected pass and inconclusive: verdict, scenario, pairing, blame, reason. One line where a vendor fails in many pairings."""
    wanted = (Status.FAIL, Status.XPASS, Status.INCONCLUSIVE, Status.XFAIL)
    alike: dict[tuple[Status, str, str, str], list[Cell]] = {}
    for cell in cells:
        verdict = cell.verdict
        if verdict.status in wanted:
            culprit = cell.binding.get(verdict.blame, "")
            alike.setdefault((verdict.status, cell.scenario, verdict.blame, culprit or cell.pairing), []).append(cell)
    return [_red_line(group) for _, group in sorted(alike.items(), key=lambda item: wanted.index(item[0][0]))]


def _red_line(group: Sequence[Cell]) -> Text:
    first = group[0]
    verdict = first.verdict
    culprit = " ".join(filter(None, (verdict.blame or "-", first.binding.get(verdict.blame))))
    more = f" and {plural(len(group) - 1, 'more pairing')}" if len(group) > 1 else ""
    head = f"{SYMBOLS[verdict.status]} {verdict.status.value:<12} {first.scenario}  {first.pairing}{more}"
    return _whole(f"{head}  [{culprit}] {verdict.reason}", COLOURS[verdict.status])


def _whole(text: str, style: str) -> Text:
    """One line that stays one, for grep and for the clipboard."""
    return Text(one_line(text, 500), style, no_wrap=True, overflow="ignore")


def unsupported_lines(cells: Sequence[Cell]) -> list[Text]:
    """What could not be run and why: a line for each capability that a vendor lacks, however many cells it concerns."""
    found: dict[str, list[Cell]] = {}
    for cell in cells:
        if cell.verdict.status is Status.UNSUPPORTED:
            for lack in cell.verdict.reason.split("; "):
                found.setdefault(lack.removeprefix(cell.verdict.blame).partition(" (")[2].replace(")", "", 1) or lack, []).append(cell)
    return [_whole(_unsupported_line(lack, group), "dim") for lack, group in sorted(found.items())]


def _unsupported_line(lack: str, cells: Sequence[Cell]) -> str:
    scenarios = dict.fromkeys(cell.scenario for cell in cells)
    return f"{SYMBOLS[Status.UNSUPPORTED]} unsupported  {lack}: {plural(len(cells), 'cell')} of {', '.join(scenarios)}"


def _worst(cells: Sequence[Cell]) -> str:
    statuses = {cell.verdict.status for cell in cells}
    for status in (Status.FAIL, Status.XPASS, Status.INCONCLUSIVE, Status.XFAIL, Status.PASS):
        if status in statuses:
            return COLOURS[status]
    return "dim"

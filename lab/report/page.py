"""index.html: one self-contained page with the matrix, every verdict and the way to its evidence.

Everything that came over the wire or from a vendor is escaped by the template engine; the page loads nothing from anywhere.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from lab.report.matrix import SYMBOLS, arrange, counts
from lab.report.proof import labs
from lab.report.run import Run, write_atomically
from lab.report.text import plural, xml_safe
from lab.verdict.model import Cell, Status

WORST_FIRST = [Status.FAIL, Status.XPASS, Status.INCONCLUSIVE, Status.XFAIL, Status.PASS, Status.UNSUPPORTED]
PAIRING_FILES = ("capture.pcapng", "keys.log", "plan.json", "pairing.json", "logs", "rendered")


def write_page(run: Run) -> Path:
    """Write the page for what the run's files hold now."""
    environment = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined)
    cells = run.cells()
    about = run.describe()
    matrix = arrange(cells)
    pairings = run.pairings()
    text = environment.get_template("page.html.j2").render(
        title=f"siplab: {', '.join(sorted({cell.topology for cell in cells})) or 'nothing ran'}",
        subtitle=f"{run.id} · {plural(len(cells), 'cell')}" + ("" if "ended" in about else " · not finished"),
        counts=counts(cells),
        matrix=matrix,
        ordered=worst_first(cells),
        controls=run.controls(),
        pairings=pairings,
        facts=_facts(about),
        symbol=lambda cell: SYMBOLS[cell.verdict.status],
        anchor=anchor,
        sides=matrix.sides,
        blamed=blamed,
        files=lambda name: _existing(run, name),
        losses=lambda name: _losses(run, name),
    )
    return write_atomically(run.folder / "index.html", xml_safe(text))


def worst_first(cells: Sequence[Cell]) -> list[Cell]:
    """What needs eyes comes first."""
    return sorted(cells, key=lambda cell: (WORST_FIRST.index(cell.verdict.status), cell.scenario, cell.pairing))


def anchor(cell: Cell) -> str:
    """A fragment that is stable between runs, so that a link to a cell can be shared."""
    return re.sub(r"[^A-Za-z0-9.-]+", "-", f"{cell.topology}.{cell.pairing}.{cell.scenario}")


def blamed(cell: Cell) -> str:
    """Who is to blame, with the vendor that played it."""
    element = cell.verdict.blame
    return f"{element} ({cell.binding[element]})" if element in cell.binding else element


def _existing(run: Run, pairing: str) -> list[str]:
    return [f"pairings/{pairing}/{name}" for name in PAIRING_FILES if (run.pairing(pairing) / name).exists()]


def _losses(run: Run, pairing: str) -> list[str]:
    """A line for each lab of the pairing that has ended: how many frames its capture lost, and what could not be saved."""
    lines = []
    for folder, about in labs(run, pairing).items():
        if "down_seconds" in about:
            where = f"{folder.name}: " if folder != run.pairing(pairing) else ""
            lost = about.get("capture_dropped")
            lines.append(f"{where}{'unknown' if lost is None else lost}")
            lines += [f"{where}{name}: {what}" for name, what in (about.get("problems") or {}).items()]
    return lines


def _facts(about: dict[str, object]) -> dict[str, str]:
    facts: dict[str, str] = {}
    for key in ("command", "started", "ended", "host", "engine", "seed", "python", "siplab"):
        if key in about:
            value = about[key]
            facts[key] = " ".join(f"{k}={v}" for k, v in value.items()) if isinstance(value, dict) else str(value)
    return facts

"""What a lab's capture lost, and what that takes back.

How many frames were lost is known when the capture has ended, which is after the lab's cells were judged. A pass rests on the whole
capture, as an absence is proven by all that is there: where frames were lost, or nobody can tell, it proves nothing.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lab.report.run import Run
from lab.report.text import plural
from lab.verdict import cells
from lab.verdict.decide import one_line, unproven
from lab.verdict.model import Attempt, Cell


def labs(run: Run, pairing: str) -> dict[Path, dict[str, Any]]:
    """What each lab of a pairing says of itself, by the lab's folder; nothing of one whose pairing.json cannot be read."""
    base = run.pairing(pairing)
    return {path.parent: _read(path) for path in (base / "pairing.json", *sorted(base.glob("lab-*/pairing.json"))) if path.exists()}


def _read(path: Path) -> dict[str, Any]:
    try:
        about = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return about if isinstance(about, dict) else {}


def doubt(about: Mapping[str, Any]) -> str:
    """Why the capture of a lab that has ended proves no absence; empty where it is whole."""
    dropped, problems = about.get("capture_dropped"), about.get("problems") or {}
    if isinstance(dropped, int) and dropped > 0:
        return f"the capture lost {plural(dropped, 'frame')}"
    if "capture" in problems:
        return f"the capture did not end well: {problems['capture']}"
    return "" if dropped == 0 else f"what the capture lost is not known: {problems.get('saving', 'the lab did not end in order')}"


def take_back(run: Run, pairing: str, *, controls: bool = False) -> list[Cell]:
    """Judge the passed cells of a pairing whose labs have all ended once more: one whose lab's capture is in doubt becomes inconclusive,
    in a further line of the file. Those cells; to do it again changes nothing.
    """
    file = run.controls_file if controls else run.cells_file
    known = labs(run, pairing)
    taken = []
    for cell in cells.read(file):
        if cell.pairing == pairing and (again := _again(run, cell, known)):
            cells.append(file, again)
            taken.append(again)
    return taken


def _again(run: Run, cell: Cell, known: Mapping[Path, Mapping[str, Any]]) -> Cell | None:
    """The cell with one attempt more, or None where its verdict stands. A cell without evidence was in any of the pairing's labs."""
    last = cell.attempts[-1]
    own = [about for folder, about in known.items() if any((run.folder / path).is_relative_to(folder / "cells") for path in last.evidence)]
    reasons = [why for about in own or [about for about in known.values() if "error" not in about] if (why := doubt(about))]
    why = reasons[0] if reasons else "" if known else "its lab left no pairing.json"
    verdict = unproven(last.verdict, one_line(why)) if why else last.verdict
    if verdict == last.verdict:
        return None
    return cells.followed(cell, Attempt(verdict, time.time(), 0.0, last.evidence))

"""Cells as lines of JSON: append-only, so that a crash loses nothing and merging shards is concatenation."""

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lab.errors import EvidenceError, Where
from lab.verdict.model import Attempt, Cell, Status, Verdict

SCHEMA = 1


def to_json(cell: Cell) -> str:
    """One line, keys in a fixed order; the verdict of the last attempt is repeated at the top for readers with jq."""
    data = asdict(cell)
    data["verdict"] = asdict(cell.verdict)
    return json.dumps(data, ensure_ascii=True, separators=(",", ":"))


def from_json(data: dict[str, Any]) -> Cell:
    """The cell of a decoded line; KeyError or ValueError where it is no cell."""
    attempts = tuple(_attempt(item) for item in data["attempts"])
    if data["schema"] != SCHEMA or not attempts:
        raise ValueError("not a cell of schema 1")
    fields = ("schema", "run", "pairing", "topology", "binding", "scenario", "title")
    return Cell(**{name: data[name] for name in fields}, attempts=attempts)


def _attempt(data: dict[str, Any]) -> Attempt:
    verdict = data["verdict"]
    return Attempt(
        verdict=Verdict(Status(verdict["status"]), verdict["reason"], verdict["blame"], verdict["step"]),
        started=float(data["started"]),
        seconds=float(data["seconds"]),
        evidence=tuple(data.get("evidence", ())),
    )


def append(path: Path, cell: Cell) -> None:
    """Add a line, whole or not at all, also with several processes writing."""
    line = (to_json(cell) + "\n").encode()
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(line)
        file.flush()
        os.fsync(file.fileno())


def read(path: Path) -> list[Cell]:
    """All cells of a run. A torn last line (a crash while writing) is left out; a broken line before it is an error."""
    if not path.exists():
        return []
    lines = path.read_bytes().split(b"\n")
    cells = []
    for number, line in enumerate(lines, 1):
        if not line:
            continue
        try:
            cells.append(from_json(json.loads(line)))
        except (ValueError, KeyError, TypeError) as error:
            if number == len(lines):
                break
            raise EvidenceError(f"not a cell: {error}", where=Where(str(path), number), remedy="remove the line") from error
    return cells

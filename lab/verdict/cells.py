"""Cells as lines of JSON: append-only, so that a crash loses nothing and merging shards is concatenation."""

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, BinaryIO

from lab.errors import EvidenceError, Where
from lab.verdict.model import Attempt, Cell, Status, Verdict

SCHEMA = 1


def to_json(cell: Cell) -> str:
    """One line, keys in a fixed order; the verdict of the last attempt is repeated at the top for readers with jq."""
    data = asdict(cell)
    data["verdict"] = asdict(cell.verdict)
    return json.dumps(data, ensure_ascii=True, separators=(",", ":"))


def from_json(data: dict[str, Any]) -> Cell:
    """The cell of a decoded line; KeyError, TypeError or ValueError where it is no cell."""
    if data["schema"] != SCHEMA:
        raise ValueError(f"its schema is {data['schema']!r}, not {SCHEMA}: another version of siplab wrote it")
    attempts = tuple(_attempt(item) for item in data["attempts"])
    if not attempts:
        raise ValueError("it has no attempt")
    texts = {name: _text(data, name) for name in ("run", "pairing", "topology", "scenario", "title")}
    for name in ("pairing", "topology"):  # runs come from others, too, and these two become paths
        if "/" in texts[name] or texts[name] in ("", ".", ".."):
            raise ValueError(f"{name} {texts[name]!r} cannot be the name of a folder")
    binding = {str(element): str(vendor) for element, vendor in dict(data["binding"]).items()}
    return Cell(SCHEMA, binding=binding, attempts=attempts, about=tuple(map(str, data.get("about", ()))), **texts)


def _text(data: dict[str, Any], name: str) -> str:
    if not isinstance(data[name], str):
        raise TypeError(f"{name} is no text")
    return str(data[name])


def _attempt(data: dict[str, Any]) -> Attempt:
    verdict = data["verdict"]
    return Attempt(
        verdict=Verdict(Status(verdict["status"]), *(_text(verdict, name) for name in ("reason", "blame", "step"))),
        started=float(data["started"]),
        seconds=float(data["seconds"]),
        evidence=tuple(map(str, data.get("evidence", ()))),
    )


def followed(cell: Cell, attempt: Attempt) -> Cell:
    """The cell after one attempt more, which counts from now on."""
    return replace(cell, attempts=(*cell.attempts, attempt))


def append(path: Path, cell: Cell) -> None:
    """Add a line, whole or not at all, also with several processes writing. A torn line that a dead writer left is overwritten."""
    line = (to_json(cell) + "\n").encode()
    path.touch()
    with path.open("r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.truncate(_whole_lines(file))
        file.seek(0, os.SEEK_END)
        file.write(line)
        file.flush()
        os.fsync(file.fileno())


def _whole_lines(file: BinaryIO) -> int:
    """Bytes up to the end of the last line that has an end. Whoever holds the lock and finds less than all of them repairs the file."""
    at = file.seek(0, os.SEEK_END)
    while at:
        start = max(0, at - 65536)
        file.seek(start)
        rest = file.read(at - start)
        if b"\n" in rest:
            return start + rest.rindex(b"\n") + 1
        at = start
    return 0


def read(path: Path) -> list[Cell]:
    """All cells of a run; of several lines about one cell the last. A torn last line (a crash while writing) is left out; a broken line
    before it is an error.
    """
    if not path.exists():
        return []
    lines = path.read_bytes().split(b"\n")
    cells: dict[tuple[str, ...], Cell] = {}
    for number, line in enumerate(lines, 1):
        if not line:
            continue
        try:
            cell = from_json(json.loads(line))
        except (ValueError, KeyError, TypeError) as error:
            if number == len(lines):
                break
            why = f"key {error} is missing" if isinstance(error, KeyError) else error
            raise EvidenceError(f"not a cell: {why}", where=Where(str(path), number), remedy="remove the line") from error
        cells[cell.run, cell.topology, cell.pairing, cell.scenario] = cell
    return list(cells.values())

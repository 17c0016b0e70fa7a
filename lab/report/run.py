"""The folder of a run: where it is, what it says about itself, which run is the latest.

    results/<utc>-<id>/{run.json, cells.jsonl, junit/, matrix.json, index.html, pairings/<id>/…}

Reports are made from these files only, so a run can be reported again, elsewhere and after a crash.
"""

from __future__ import annotations

import hashlib
import json
import platform
import secrets
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import lab
from lab.errors import EvidenceError, SpecError, Where
from lab.verdict import cells as cell_lines
from lab.verdict.model import Cell

SCHEMA = 1
REMEDY = "restore the file, or leave the run"


@dataclass(frozen=True)
class Run:
    """A run on disk."""

    folder: Path

    @property
    def id(self) -> str:
        """The folder's name: UTC time and a random part, so that it sorts and two runs never collide."""
        return self.folder.name

    @property
    def cells_file(self) -> Path:
        """Append-only verdicts."""
        return self.folder / "cells.jsonl"

    @property
    def controls_file(self) -> Path:
        """Verdicts of negative controls: here a fail is what is wanted."""
        return self.folder / "controls.jsonl"

    def pairing(self, identifier: str) -> Path:
        """The folder of a pairing's evidence."""
        return self.folder / "pairings" / identifier

    def cells(self) -> list[Cell]:
        """All cells recorded so far."""
        return cell_lines.read(self.cells_file)

    def controls(self) -> list[Cell]:
        """All negative controls recorded so far."""
        return cell_lines.read(self.controls_file)

    def describe(self) -> dict[str, Any]:
        """run.json; EvidenceError where it is missing, broken, or of another version of siplab."""
        path = self.folder / "run.json"
        data = _object(path)
        if data.get("schema") != SCHEMA:
            what = f"run.json has schema {data.get('schema')!r}, this siplab ({lab.__version__}) reads {SCHEMA}"
            raise EvidenceError(what, where=Where(str(path)), remedy="report it with the version that wrote it")
        return data

    def pairings(self) -> dict[str, dict[str, Any]]:
        """pairing.json of every pairing that came up: binding, images, versions, seconds. EvidenceError where one is broken."""
        return {path.parent.name: _object(path) for path in sorted(self.folder.glob("pairings/*/pairing.json"))}

    def write(self, name: str, data: Mapping[str, Any]) -> Path:
        """Write a JSON file atomically: a reader sees the old one or the new one, never half."""
        return write_atomically(self.folder / name, json.dumps(data, indent=2, default=str) + "\n")

    def update(self, **members: Any) -> None:
        """Add members to run.json."""
        self.write("run.json", {**self.describe(), **members})


def _object(path: Path) -> dict[str, Any]:
    """A JSON object in a file of the run."""
    try:
        data = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise EvidenceError(f"{path.name} cannot be read: {why}", where=Where(str(path)), remedy=REMEDY) from error
    if not isinstance(data, dict):
        raise EvidenceError(f"{path.name} is no JSON object", where=Where(str(path)), remedy=REMEDY)
    for name in ("versions", "images", "problems"):
        if not isinstance(data.get(name), dict | None):
            raise EvidenceError(f"{path.name}: {name} is no JSON object", where=Where(str(path)), remedy=REMEDY)
    return data


def about(
    command: Sequence[str],
    *,
    topology: str,
    seed: int,
    pairings: Sequence[str],
    scenarios: Mapping[str, Path],
    engine: Mapping[str, object],
) -> dict[str, Any]:
    """What run.json says of a run when it begins: enough to repeat it, and to tell which version of each scenario judged."""
    return {
        "command": shlex.join(command),
        "siplab": lab.__version__,
        "python": platform.python_version(),
        "host": platform.node(),
        "engine": dict(engine),
        "topology": topology,
        "seed": seed,
        "pairings": list(pairings),
        "scenarios": {name: file_hash(path) for name, path in scenarios.items()},
    }


def write_atomically(path: Path, text: str) -> Path:
    """Replace a file as a whole. Several threads may write the same one: each has a temporary file of its own, the last one stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)
    return path


def create(results: Path, about: Mapping[str, Any], *, now: datetime | None = None) -> Run:
    """A fresh run folder with run.json in it, and `results/latest` pointing there."""
    stamp = (now or datetime.now(UTC)).strftime("%Y%m%dT%H%M%SZ")
    run = Run(results / f"{stamp}-{secrets.token_hex(3)}")
    run.folder.mkdir(parents=True)
    run.cells_file.touch()
    run.write("run.json", {"schema": SCHEMA, "id": run.id, "started": (now or datetime.now(UTC)).isoformat(), **about})
    point_latest(results, run)
    return run


def point_latest(results: Path, run: Run) -> None:
    """`results/latest` → the run, replaced atomically."""
    temporary = results / f".latest-{secrets.token_hex(3)}"
    temporary.symlink_to(run.id)
    temporary.replace(results / "latest")


def find(results: Path, name: str = "latest") -> Run:
    """A run by folder, by id, by a unique part of it, or the latest."""
    for candidate in (Path(name), results / name):
        if (candidate / "run.json").is_file():
            return Run(candidate.resolve())
    known = sorted(path.parent for path in results.glob("*/run.json") if not path.parent.is_symlink())
    matching = [path for path in known if name in path.name]
    if len(matching) == 1:
        return Run(matching[0])
    remedy = f"known runs: {', '.join(path.name for path in known[-3:])}" if known else "run `siplab run` first"
    raise SpecError(f"no run {name!r} in {results}" if not matching else f"{name!r} fits {len(matching)} runs", remedy=remedy)


def file_hash(path: Path) -> str:
    """SHA-256 of a file, so that a run tells which version of a scenario gave its verdict."""
    return hashlib.sha256(path.read_bytes()).hexdigest()

"""How a run is going, on stderr: a bar for all cells and a line per pairing under way."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from lab.cli.output import Output
from lab.report.matrix import SYMBOLS
from lab.verdict.model import Status


class RunProgress:
    """Where stderr is no terminal, one line per finished pairing instead of bars."""

    def __init__(self, output: Output, cells: Mapping[str, int], *, controls: bool = False) -> None:
        """`cells` is how many each pairing has."""
        self._output = output
        self._live = output.progress.is_terminal and not output.quiet
        self._bars = Progress(
            TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
            TextColumn("{task.fields[last]}", markup=False),
            console=output.progress, transient=True, disable=not self._live,
        )  # fmt: skip
        self._what = "negative controls" if controls else "cells"
        self._total = self._bars.add_task(f"all {self._what}", total=sum(cells.values()), last="")
        self._cells = cells
        self._tasks: dict[str, TaskID] = {}
        self._tallies: dict[str, list[str]] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> RunProgress:
        self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._bars.stop()

    def say(self, pairing: str, event: dict[str, Any]) -> None:
        """Receive an event of the scheduler; from several threads."""
        with self._lock:
            if pairing not in self._tasks:
                self._tasks[pairing] = self._bars.add_task(pairing, total=self._cells[pairing], last="")
            if "cell" in event:
                symbol = SYMBOLS[Status(event["status"])]
                self._tallies.setdefault(pairing, []).append(symbol)
                self._bars.update(self._tasks[pairing], advance=1, last=f"{event['cell']} {symbol}")
                self._bars.advance(self._total)
            elif "ended" in event:
                self._bars.remove_task(self._tasks[pairing])
                if not self._live:
                    self._output.hint(f"{pairing}: {''.join(self._tallies.get(pairing, []))}")

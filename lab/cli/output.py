"""Data on stdout, progress on stderr, colour where a person looks."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import click
from rich import box
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text


@dataclass
class Output:
    """Where everything is printed. rich honours NO_COLOR and a stream that is no terminal."""

    quiet: bool = False
    verbose: int = 0
    console: Console = field(default_factory=lambda: _console(stderr=False))
    progress: Console = field(default_factory=lambda: _console(stderr=True))

    def data(self, value: Any) -> None:
        """JSON for programs."""
        click.echo(json.dumps(value, indent=2, default=str))

    def show(self, what: RenderableType) -> None:
        """Something to read."""
        self.console.print(what, highlight=False)

    def line(self, text: str) -> None:
        """One line of data; never interpreted as markup."""
        self.console.print(Text(text), soft_wrap=True)

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[str]], title: str = "") -> None:
        """A table of plain text cells."""
        table = Table(title=title or None, title_justify="left", header_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*[Text(cell) for cell in row])
        self.show(table)

    def hint(self, text: str) -> None:
        """A line of progress or advice, on stderr."""
        if not self.quiet:
            self.progress.print(Text(text), soft_wrap=True)


def _console(*, stderr: bool) -> Console:
    """Into a file or a pipe nothing is wrapped at 80 columns: there it is read by programs, or by eyes with a wider window."""
    console = Console(stderr=stderr)
    return console if console.is_terminal else Console(stderr=stderr, width=200)

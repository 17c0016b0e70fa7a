"""Data on stdout, progress on stderr, colour where a person looks."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from typing import IO, Any, NoReturn

import click
from rich import box
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text


@dataclass
class Output:
    """Where everything is printed. rich honours NO_COLOR and a stream that is no terminal.

    BrokenPipeError where nobody reads the data any more (`| head -1`): what follows would go nowhere.
    """

    quiet: bool = False
    verbose: int = 0
    console: Console = field(default_factory=lambda: _console(stderr=False))
    progress: Console = field(default_factory=lambda: _console(stderr=True))

    def data(self, value: Any) -> None:
        """JSON for programs."""
        self.raw(json.dumps(value, indent=2, default=str))

    def raw(self, text: str) -> None:
        """Text that is not for people: as it is, however long its lines are."""
        try:
            click.echo(text)
        except BrokenPipeError:
            unread(sys.stdout)
            raise BrokenPipeError from None  # without a number: click ends the process with 1 where it sees EPIPE

    def show(self, what: RenderableType) -> None:
        """Something to read. Where it says that a line must not be wrapped, it is the terminal's to do so, and in a file it stays one."""
        self.console.print(what, highlight=False, crop=False)

    def line(self, text: str | Text) -> None:
        """One line of data; never interpreted as markup."""
        self.console.print(Text(text) if isinstance(text, str) else text, soft_wrap=True)

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[str]], title: str = "") -> None:
        """A table of plain text cells."""
        table = Table(title=title or None, title_justify="left", header_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*[Text(cell) for cell in row])
        self.show(table)

    def hint(self, text: str) -> None:
        """A line of progress or advice, on stderr: nothing is left undone because nobody reads it."""
        if not self.quiet:
            with suppress(BrokenPipeError):
                self.progress.print(Text(text), soft_wrap=True)

    @staticmethod
    def read_or_not() -> AbstractContextManager[None]:
        """Around the printing of a verdict: the exit code is the verdict's, however much of it was read."""
        return suppress(BrokenPipeError)


def unread(stream: IO[str]) -> None:
    """Nobody reads this stream any more: what is still to be flushed at the end of the process goes nowhere, without a complaint."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


class _Console(Console):
    def on_broken_pipe(self) -> NoReturn:
        """rich would end the process with 1, which is what a failed verdict ends with."""
        unread(self.file)
        raise BrokenPipeError


def _console(*, stderr: bool) -> Console:
    """Into a file or a pipe nothing is wrapped at 80 columns: there it is read by programs, or by eyes with a wider window."""
    console = _Console(stderr=stderr)
    return console if console.is_terminal else _Console(stderr=stderr, width=200)

"""What twinkle-console prints, cut into the things it tells.

A thing begins with a line of a known form and ends at the next empty line or at the next thing. Prompts and echoed commands stand
in between. The text of a message is the one part that a stranger writes: it is taken by its length, so that it cannot speak for twinkle.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

PROMPT = "Twinkle> "
_LINE = re.compile(r"Line ([12]): (.*)")
_PROFILE = re.compile(r"account[:,] (?:de-)?registration (?:succeeded|failed).*")
_OTHERS = ("Received message", "Failed to send MESSAGE.")


@dataclass
class Told:
    """One thing: the phone line (0 where none is named), its first line, those that follow, and the text of a message."""

    line: int
    what: str
    more: list[str] = field(default_factory=list)
    text: str = ""

    @property
    def status(self) -> tuple[int | None, str | None]:
        """`486 Busy Here` in the line that follows, as code and reason."""
        return status(self.more[0] if self.more else "")

    def value(self, name: str) -> str:
        """What follows `Name:` in the further lines; empty where it is missing."""
        return next((line.partition(":")[2].strip() for line in self.more if line.startswith(f"{name}:")), "")


def status(text: str) -> tuple[int | None, str | None]:
    """Code and reason of `404 Not Found`; None, None of anything else."""
    found = re.fullmatch(r"([1-6]\d\d) (.*)", text)
    return (int(found[1]), found[2]) if found else (None, None)


class Console:
    """Feed it lines; `on_told` gets each thing when it is complete. `text_bytes` says how long the text of the next message is."""

    def __init__(self, on_told: Callable[[Told], None], text_bytes: Callable[[], int]) -> None:
        self._on_told = on_told
        self._text_bytes = text_bytes
        self._told: Told | None = None
        self._missing: int | None = None

    def feed(self, line: str) -> None:
        """One line of output without its end."""
        if self._missing is not None:
            self._text(line)
            return
        line = line.removeprefix(PROMPT)
        begun = _begin(line)
        if begun:
            self._finish()
            self._told = begun
            if begun.what.startswith("call ended"):  # the only one without an empty line behind it
                self._finish()
        elif self._told and line:
            self._told.more.append(line)
        elif self._told and self._told.what == "Received message":
            self._missing = self._text_bytes()
        else:
            self._finish()

    def _text(self, line: str) -> None:
        assert self._told
        assert self._missing is not None
        self._told.text += line + "\n"
        if len(self._told.text.encode()) > self._missing:
            self._told.text = self._told.text[:-1]
            self._missing = None
            self._finish()

    def _finish(self) -> None:
        told, self._told = self._told, None
        if told:
            self._on_told(told)


def _begin(line: str) -> Told | None:
    found = _LINE.fullmatch(line)
    if found:
        return Told(int(found[1]), found[2])
    return Told(0, line) if line in _OTHERS or _PROFILE.fullmatch(line) else None

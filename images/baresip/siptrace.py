"""SIP messages out of baresip's own trace (`-s`).

baresip's events carry no status codes of provisional answers, BYE, CANCEL, MESSAGE and un-REGISTER. Its trace has them, after
decryption and as the stack saw them; what is taken from here is told with source `log`.
"""

from __future__ import annotations

from collections.abc import Callable

from siptext import Message

_START = "\x1b[36;1m#"
_END = "\x1b[;m"


class TraceReader:
    """Feed it the lines of baresip's output; `on_message` gets every whole message."""

    def __init__(self, own_addresses: tuple[str, ...], on_message: Callable[[Message], None]) -> None:
        self._own = own_addresses
        self._on_message = on_message
        self._lines: list[str] | None = None

    def feed(self, line: str) -> None:
        """One line of output without its newline."""
        if line.endswith(_START):  # other output without a newline may stand before it
            self._lines = []
        elif self._lines is not None:
            head, end, _ = line.partition(_END)
            self._lines.append(head.rstrip("\r"))
            if end:
                lines, self._lines = self._lines, None
                self._finish(lines)

    def _finish(self, lines: list[str]) -> None:
        if len(lines) < 2:
            return
        source = lines[0].partition(" ")[2].partition(" -> ")[0]
        sent = any(source in (f"{own}:{source.rpartition(':')[2]}", f"[{own}]:{source.rpartition(':')[2]}") for own in self._own)
        self._on_message(Message.parse(sent, lines[1:]))

"""SIP messages out of baresip's own trace (`-s`).

baresip's events carry no status codes of provisional answers, BYE, CANCEL, MESSAGE and un-REGISTER. Its trace has them, after
decryption and as the stack saw them; what is taken from here is told with source `log`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

_START = "\x1b[36;1m#"
_END = "\x1b[;m"
_COMPACT = {"i": "call-id", "f": "from", "t": "to", "m": "contact", "l": "content-length", "c": "content-type", "v": "via"}


@dataclass(frozen=True)
class Message:
    """Start line and headers (lower case names, first value of each)."""

    sent: bool
    start: str
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def code(self) -> int:
        """Status code; 0 for a request."""
        found = re.match(r"SIP/2.0 (\d{3})", self.start)
        return int(found[1]) if found else 0

    @property
    def reason(self) -> str:
        """Reason phrase of a response."""
        return self.start.split(" ", 2)[2] if self.code and self.start.count(" ") > 1 else ""

    @property
    def method(self) -> str:
        """Method of the request, or of the request that is answered (CSeq)."""
        return self.headers.get("cseq", "").partition(" ")[2].strip() if self.code else self.start.split(" ", 1)[0]

    @property
    def call_id(self) -> str:
        """Call-ID, by which baresip names its calls too."""
        return self.headers.get("call-id", "")

    @property
    def expires(self) -> int | None:
        """Seconds granted or asked for: of the Contact, else of the Expires header (RFC 3261 §10.2.4)."""
        found = re.search(r"expires\s*=\s*\"?(\d+)", self.headers.get("contact", ""), re.I)
        value = found[1] if found else self.headers.get("expires", "").strip()
        return int(value) if value.isdigit() else None


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
        headers: dict[str, str] = {}
        for line in lines[2:]:
            if not line:
                break
            name, colon, value = line.partition(":")
            key = name.strip().lower()
            if colon:
                headers.setdefault(_COMPACT.get(key, key), value.strip())
        self._on_message(Message(sent, lines[1], headers))

"""Messages as bytes, for what is not well-formed: what the parser refuses must still be sendable and readable."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RawMessage:
    """Start line, header lines and body exactly as on the wire. Nothing is checked, nothing is corrected."""

    start: bytes
    lines: tuple[bytes, ...]
    body: bytes = b""

    @classmethod
    def read(cls, data: bytes) -> RawMessage:
        """Split at the first empty line. Never fails: without one, everything is head."""
        head, _, body = data.partition(b"\r\n\r\n")
        start, *lines = head.split(b"\r\n")
        return cls(start, tuple(lines), body)

    def __bytes__(self) -> bytes:
        return b"\r\n".join((self.start, *self.lines)) + b"\r\n\r\n" + self.body

    def values(self, name: str) -> list[bytes]:
        """The values of a header by its full name, in order, whatever they hold."""
        wanted = name.lower().encode()
        pairs = (line.partition(b":") for line in self.lines)
        return [value.strip() for key, _, value in pairs if key.strip().lower() == wanted]

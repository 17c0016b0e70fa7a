"""Where one message ends and its header fields begin (RFC 3261 §7.3.1, §18.3): one reading, for streams and datagrams alike.

Who cuts a stream and who reads a message must not differ, or a message can be hidden in another one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from .fault import MessageError

MAX_BODY = 256 * 1024
MAX_HEAD = 64 * 1024
"""Bytes: as much as fits a datagram."""
_FOLDING = re.compile(rb"\r\n[ \t]+")
_BARE = re.compile(rb"\r(?!\n)|(?<!\r)\n")
_SPACED = re.compile(rb"(?m)^([!-9;-~]+)[ \t]+:")
_LENGTH = re.compile(rb"(?im)^(?:content-length|l):([^\r\n]*)")


def unfolded(head: bytes) -> bytes:
    """With every header field on one line (RFC 3261 §7.3.1)."""
    return _FOLDING.sub(b" ", head)


def normal(head: bytes) -> bytes:
    """Unfolded, and without blanks before a colon (HCOLON, RFC 3261 §25.1). MessageError for half a line end, which readers differ on."""
    if _BARE.search(head):
        raise MessageError(f"a line that ends in CR or LF alone: {head[:60]!r}")
    return _SPACED.sub(rb"\1:", unfolded(head))


def length_of(head: bytes) -> int | None:
    """What Content-Length says in a normal head; None where it is absent. MessageError where it is no number, or two that differ."""
    lengths = set()
    for value in _LENGTH.findall(head):
        if not re.fullmatch(rb"[0-9]{1,9}", value.strip()):
            raise MessageError(f"Content-Length is no number: {value[:60]!r}")
        lengths.add(int(value))
    if len(lengths) > 1:
        raise MessageError(f"Content-Length is {' and '.join(map(str, sorted(lengths)))}")
    return lengths.pop() if lengths else None


class StreamFramer:
    """Collects bytes of one connection and cuts messages out of them. Line ends between messages (RFC 5626 §3.5.1) are dropped."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The messages that are complete now. MessageError, after them, where the stream cannot be framed any more: close it."""
        self._buffer += data
        while (end := self._end()) is not None:
            message, self._buffer = self._buffer[:end], self._buffer[end:]
            yield message

    def _end(self) -> int | None:
        """Where the first message ends; None where it is not all there."""
        self._buffer = self._buffer.lstrip(b"\r\n")
        head, separator, rest = self._buffer.partition(b"\r\n\r\n")
        if len(head) > MAX_HEAD:
            raise MessageError(f"more than {MAX_HEAD} bytes of header fields: {head[:60]!r}")
        if not separator:
            return None
        length = length_of(normal(head))
        if length is None:
            raise MessageError(f"no Content-Length on a stream: {head[:60]!r}")
        if length > MAX_BODY:
            raise MessageError(f"a body of {length} bytes is more than {MAX_BODY}")
        return len(head) + len(separator) + length if len(rest) >= length else None

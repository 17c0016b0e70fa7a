"""Messages out of a byte stream (RFC 3261 §18.3): Content-Length decides where one ends."""

from __future__ import annotations

import re

from .fault import MessageError

MAX_MESSAGE = 256 * 1024
_LENGTH = re.compile(rb"(?im)^(?:content-length|l)[ \t]*:[ \t]*(\d{1,9})[ \t]*\r?$")


class StreamFramer:
    """Collects bytes of one connection and cuts messages out of them. Line ends between messages (RFC 5626 §3.5.1) are dropped."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that are complete now. MessageError where the stream cannot be framed any more: close it."""
        self._buffer += data
        messages = []
        while True:
            self._buffer = self._buffer.lstrip(b"\r\n")
            head, separator, rest = self._buffer.partition(b"\r\n\r\n")
            if not separator:
                break
            found = _LENGTH.search(head)
            if not found:
                raise MessageError(f"no Content-Length on a stream: {head[:60]!r}")
            length = int(found[1])
            if length > MAX_MESSAGE:
                raise MessageError(f"a message of {length} bytes is more than {MAX_MESSAGE}")
            if len(rest) < length:
                break
            end = len(head) + 4 + length
            messages.append(self._buffer[:end])
            self._buffer = self._buffer[end:]
        if len(self._buffer) > 2 * MAX_MESSAGE:
            raise MessageError(f"more than {2 * MAX_MESSAGE} bytes without an end of a message")
        return messages

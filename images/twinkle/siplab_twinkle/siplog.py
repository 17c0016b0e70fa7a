"""SIP messages out of twinkle's log file, which it flushes after every entry."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable

from siplab_agent import log
from siplab_agent.slicer import FileWatch
from siptext import Message

_HEAD = re.compile(r"\+\+\+ \S+ \S+ \w+ (\w+) ")
_LENGTH = re.compile(r"(?:content-length|l)\s*:\s*(\d+)\s*", re.I)
LONGEST = 1024
"""Bytes of a message that twinkle logs; the rest is cut off."""


class SipLog:
    """Follows the file `twinkle.log` of a folder that exists; `on_message` gets every SIP message, from the follower's thread or from
    that of whoever calls `drain`. All entries are copied to our log, as evidence."""

    def __init__(self, folder: str, on_message: Callable[[Message], None]) -> None:
        self._path = f"{folder}/twinkle.log"
        self._on_message = on_message
        self._watch = FileWatch(folder)
        self._file: int | None = None
        self._closed = False
        self._rest = b""
        self._entry: list[str] = []
        self._body = 0
        self._lock = threading.RLock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="sip-log", daemon=True)
        self._thread.start()

    def drain(self) -> None:
        """Digest all that is in the file now. Whoever learns of something from the console calls it first: twinkle logs a message
        before it tells what came of it."""
        with self._lock:
            if self._closed:
                return
            if self._file is None:
                try:
                    self._file = os.open(self._path, os.O_RDONLY)
                except FileNotFoundError:
                    return
            while data := os.read(self._file, 65536):
                *lines, self._rest = (self._rest + data).split(b"\n")
                for line in lines:
                    self.feed(line.decode("utf-8", "replace"))

    def close(self) -> None:
        """Twinkle has ended: digest the rest and stop. What is written to that path afterwards is another's."""
        self._stop.set()
        self._watch.wake()
        self._thread.join(1.0)

    def _follow(self) -> None:
        while not self._stop.is_set():
            self._watch.wait(0.5)
            self.drain()
        self.drain()
        self._watch.close()
        with self._lock:
            self._closed = True
            if self._file is not None:
                os.close(self._file)

    def feed(self, line: str) -> None:
        """One line of the file. A body is taken by its length: what a stranger writes in it does not end an entry."""
        if self._body > 0:
            self._entry.append(line.rstrip("\r"))
            self._body -= len(line) + 1
        elif _HEAD.match(line):
            self._entry = [line]
        elif line == "---" and self._entry:
            self._finish()
        elif self._entry:
            self._entry.append(line.rstrip("\r"))
            if not self._entry[-1] and len(self._entry) > 3:
                self._body = self._body_length()

    def _body_length(self) -> int:
        lengths = [found for line in self._entry if (found := _LENGTH.fullmatch(line))]
        logged = LONGEST - sum(len(line) + 2 for line in self._entry[2:])
        return min(int(lengths[0][1]), logged) if lengths else 0

    def _finish(self) -> None:
        entry, self._entry = self._entry, []
        log("\n".join(["twinkle", *entry]))
        head = _HEAD.match(entry[0])
        if head and head[1] == "SIP" and len(entry) > 2:
            self._on_message(Message.parse(entry[1].startswith("Send to:"), entry[2:]))

"""The audio of calls, which Asterisk hands over by AudioSocket: TCP, per packet a type, a length and 16-bit PCM at 8 kHz.

A call's tone is made here and what it hears is recorded here, so that neither passes through files of Asterisk's.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
import uuid
from dataclasses import dataclass, field

from siplab_agent import PcmRecorder, log, sine

ADDRESS = ("127.0.0.1", 9092)
FRAME = 160
"""Samples in 20 ms."""
_END, _ID, _PCM = 0x00, 0x01, 0x10


@dataclass(eq=False)
class Line:
    """One call's audio. `tone_hz` is what it sends; None sends nothing at all, as a user agent that holds does."""

    tone_hz: int | None
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    recorder: PcmRecorder = field(default_factory=PcmRecorder)


class AudioServer:
    """Where Asterisk connects to, once per call."""

    def __init__(self) -> None:
        self._lines: dict[str, Line] = {}
        self._listener = socket.create_server(ADDRESS)
        threading.Thread(target=self._accept, name="audio", daemon=True).start()

    def open(self, tone_hz: int) -> Line:
        """A line that Asterisk may connect to by its id."""
        line = Line(tone_hz)
        self._lines[line.id] = line
        return line

    def close(self, line: Line) -> None:
        """The call is over: recordings under way get what they have."""
        self._lines.pop(line.id, None)
        line.recorder.close()

    def _accept(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._serve, args=(connection,), name="audio-in", daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as stream:
            try:
                self._converse(connection, stream)
            except OSError as error:  # Asterisk hangs up in the middle of a packet
                log(f"audio: {error}")

    def _converse(self, connection: socket.socket, stream: socket.SocketIO) -> None:
        line: Line | None = None
        while header := stream.read(3):
            kind, length = struct.unpack(">BH", header)
            data = stream.read(length)
            if kind == _ID:
                line = self._lines.get(str(uuid.UUID(bytes=data)))
                if line is None:
                    return
                threading.Thread(target=self._send, args=(connection, line), name="audio-out", daemon=True).start()
            elif kind == _PCM and line is not None:
                line.recorder.feed(data)
            elif kind == _END:
                return

    def _send(self, connection: socket.socket, line: Line) -> None:
        """Asterisk sends on what it gets when it gets it: the pace of RTP is made here."""
        sample, due = 0, time.monotonic()
        while line.id in self._lines:
            if line.tone_hz is not None:
                try:
                    connection.sendall(struct.pack(">BH", _PCM, 2 * FRAME) + sine(line.tone_hz, FRAME, sample))
                except OSError:
                    return
            sample = (sample + FRAME) % 8000
            due = max(due + 0.02, time.monotonic() - 0.1)
            time.sleep(max(0.0, due - time.monotonic()))

"""The element's ear and mouth: PCMU RTP on the loopback, in place of liblinphone's sound card (`rtp_io`)."""

from __future__ import annotations

import os
import socket
import struct
import threading
import time

from siplab_agent import RATE, PcmRecorder, pcmu_decode, pcmu_encode, sine

from .settings import RTP_IO_IN, RTP_IO_OUT

FRAME = 160
PERIOD = FRAME / RATE
_SILENCE = b"\xff" * FRAME


class RtpIo:
    """Plays a tone into the software and records what it plays. One audio path for the whole element, as with a sound card."""

    def __init__(self, tone_hz: int) -> None:
        self.recorder = PcmRecorder()
        self.recording = threading.Event()
        """Set while anybody listens: decoding is skipped otherwise."""
        self._speaking = threading.Event()
        self._frames: list[bytes] = []
        self._muted = False
        self._ssrc = os.urandom(4)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", RTP_IO_OUT))
        self.play(tone_hz)
        for target in (self._speak, self._listen):
            threading.Thread(target=target, name=target.__name__, daemon=True).start()

    def play(self, tone_hz: int) -> None:
        """Change the tone; 0 is silence. One second of whole Hz is whole cycles, so it loops without a click."""
        data = pcmu_encode(sine(tone_hz, RATE))
        self._frames = [data[start : start + FRAME] for start in range(0, RATE, FRAME)]

    def mute(self, wanted: bool) -> None:
        """Silence without forgetting the tone: what a sound card does for a call that is on hold."""
        self._muted = wanted

    def speak(self, wanted: bool) -> None:
        """Send while there is a call; be quiet otherwise."""
        if wanted:
            self._speaking.set()
        else:
            self._speaking.clear()

    def _speak(self) -> None:
        number, due = 0, 0.0
        while True:
            if not self._speaking.is_set():
                self._speaking.wait()
                due = time.monotonic()
            number += 1
            header = struct.pack("!BBHI", 0x80, 0, number & 0xFFFF, number * FRAME & 0xFFFFFFFF) + self._ssrc
            frame = _SILENCE if self._muted else self._frames[number % len(self._frames)]
            self._socket.sendto(header + frame, ("127.0.0.1", RTP_IO_IN))
            due += PERIOD
            time.sleep(max(0.0, due - time.monotonic()))  # the clock of the audio, not a wait for anything

    def _listen(self) -> None:
        while True:
            packet = self._socket.recv(2048)
            if self.recording.is_set() and len(packet) > 12:
                self.recorder.feed(pcmu_decode(packet[12:]))

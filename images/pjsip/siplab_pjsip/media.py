"""Audio of a call: the element's tone, and recordings of what it receives."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import pjsua2 as pj
from siplab_agent.audio import write_wav
from siplab_agent.wire import log

from .translate import cut_wav

RATE = 8000
MARGIN = 0.1
"""Seconds recorded beyond the wish, because the bridge connects ports at its next tick; cut off afterwards."""


class Tone:
    """An endless sine on the bridge. A phase is 30 s long: pj fades at the end of each, which is a click."""

    def __init__(self) -> None:
        self._generator = pj.ToneGenerator()
        self._generator.createToneGenerator(RATE, 1)
        self._sink: pj.AudioMedia | None = None
        self._hz = 0

    def play(self, hz: int) -> None:
        """Change the frequency; 0 is silence."""
        if self._hz:
            self._generator.stop()
        self._hz = hz
        if not hz:
            return
        tone = pj.ToneDesc()
        tone.freq1, tone.freq2, tone.on_msec, tone.off_msec = hz, 0, 30000, 0
        tones = pj.ToneDescVector()
        tones.append(tone)
        self._generator.play(tones, True)

    def connect(self, sink: pj.AudioMedia) -> None:
        """Send to a call's stream; a stream made anew by a re-INVITE is connected anew."""
        self._sink = sink
        self._generator.startTransmit(sink)

    def disconnect(self) -> None:
        """Send nothing: who holds a call may send (RFC 3264 §8.4 says sendonly), but nobody speaks."""
        sink, self._sink = self._sink, None
        if sink is None:
            return
        try:
            self._generator.stopTransmit(sink)
        except pj.Error as error:  # a re-INVITE has replaced the stream, and the audio thread was faster in removing it
            log(f"nothing to disconnect: {error.reason}")


class Recording:
    """`seconds` of the audio a call receives. pj finalises a file only when its recorder is dropped, and then when it likes."""

    def __init__(self, identifier: str, path: str, seconds: float, done: Callable[[str, float], None]) -> None:
        self.identifier = identifier
        self._path, self._raw, self._seconds, self._done = path, path + ".raw.wav", seconds, done
        os.makedirs(os.path.dirname(path), exist_ok=True)
        self._recorder: pj.AudioMediaRecorder | None = None
        self._due: float | None = None

    def connect(self, source: pj.AudioMedia) -> None:
        """Receive from a call's stream, from now or (after a re-INVITE) again."""
        if self._recorder is None:
            self._recorder = pj.AudioMediaRecorder()
            self._recorder.createRecorder(self._raw)
            self._due = time.monotonic() + self._seconds + MARGIN
        source.startTransmit(self._recorder)

    @property
    def due(self) -> bool:
        """True when all of it was heard."""
        return self._due is not None and time.monotonic() >= self._due

    def drop(self) -> bool:
        """Let pj finalise the file; False where no audio ever came, so that there is none."""
        started, self._recorder = self._recorder is not None, None
        self._due = time.monotonic() + 2.0
        return started

    def collect(self) -> bool:
        """After `drop`: True when the file was finalised and cut, or when pj failed to within two seconds."""
        try:
            with open(self._raw, "rb") as file:
                pcm = cut_wav(file.read(), self._seconds, RATE)
        except FileNotFoundError:
            pcm = None
        if pcm is None:
            if not self.due:
                return False
            log(f"pj never finalised {self._raw}: recording {self.identifier} is lost")
            return True
        write_wav(self._path, pcm, RATE)
        os.unlink(self._raw)
        self._done(self._path, len(pcm) / 2 / RATE)
        return True

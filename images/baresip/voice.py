"""The sound of one call with baresip-python: its `aumem` driver takes and gives PCM, and nothing keeps time but us."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import baresip
from siplab_agent import RATE, PcmRecorder, sine

TICK = 0.04
"""Seconds between two looks at the buffers."""
AHEAD = 0.3
"""Seconds of tone that wait in the stack's buffer: what a busy machine may delay us without a gap on the wire."""
GAP = 0.12
"""Seconds without received audio after which a recording goes on with silence, as a loudspeaker would."""


class Voice:
    """Plays a tone and records, from the beginning of a call's media to its end."""

    def __init__(self, leg: Any, tone_hz: int) -> None:
        self.recorder = PcmRecorder()
        self._leg = leg
        self._hz = tone_hz
        self._played = 0
        self._heard = 0.0

    async def run(self) -> None:
        """Until the call is closed. The stack's streams come and go with every renegotiation."""
        while self._leg.state is not baresip.CallState.CLOSED:
            try:
                self._play()
                self._record()
            except (baresip.AudioNotActive, baresip.AudioRestarted):
                pass
            await asyncio.sleep(TICK)
        self.recorder.close()

    async def change(self, hz: int) -> None:
        """Play another tone from now on; 0 is silence."""
        self._hz, self._played = hz, 0
        self._leg.audio.flush_tx()

    def _play(self) -> None:
        info = self._leg.audio.info()
        wanted = round(AHEAD * RATE) - info.tx_buffered // 2
        if info.tx_ready and wanted > 0:
            self._played += self._leg.audio.write(sine(self._hz, wanted, self._played)) // 2

    def _record(self) -> None:
        pcm = self._leg.audio.read(2 * RATE)
        now = time.monotonic()
        if pcm:
            self.recorder.feed(pcm)
        elif now - self._heard > GAP:
            pcm = sine(0, round(min(now - self._heard, 1.0) * RATE))
            self.recorder.feed(pcm)
        if pcm:
            self._heard = now

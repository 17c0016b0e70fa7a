"""An agent whose software hands over audio as PCM and leaves it to the agent to say something."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

from .aio import AsyncAgent
from .audio import RATE, PcmRecorder, sine
from .faults import BadState
from .model import Call

TURN = 0.02
"""Seconds between two looks."""
AHEAD = round(2 * TURN * RATE)
"""Samples offered at each: more than what passes in between, so that the software's queue stays full whatever the machine does."""

MOST = 1 << 16
"""Bytes taken at each."""


class PcmAgent(AsyncAgent):
    """`media.play` and `media.record` by `talk`: PCM is mono, 16 bit, 8 kHz, little-endian."""

    def talk(self, call: Call, read: Callable[[int], bytes], write: Callable[[bytes], int], silent: type[Exception]) -> None:
        """Play the element's tone and take what is received, until the call ends.

        `read` gives at most so many bytes of what came, `write` queues what fits and says how many bytes that was: neither waits.
        `silent` is what they raise while the call has no audio, such as during a re-INVITE.
        """
        call.extra |= {"recorder": PcmRecorder(), "hz": self.config.tone_hz}
        self.launch(self._talking(call, read, write, silent))

    async def _talking(self, call: Call, read: Callable[[int], bytes], write: Callable[[bytes], int], silent: type[Exception]) -> None:
        said = 0
        while call.live:
            try:
                call.extra["recorder"].feed(read(MOST))
                said += write(sine(call.extra["hz"], AHEAD, said)) // 2
            except silent:
                said = 0
            await asyncio.sleep(TURN)
        call.extra["recorder"].close()

    def media_play(self, call: Call, tone_hz: int) -> None:
        """From what the software has not queued yet."""
        _audio(call)["hz"] = tone_hz

    def media_record(self, recording: str, path: str, call: Call, seconds: float) -> None:
        """From what `read` gives next."""
        _audio(call)["recorder"].start(path, seconds, partial(self.recorded, call, recording))


def _audio(call: Call) -> dict[str, Any]:
    if "recorder" not in call.extra:
        raise BadState(f"{call.id} is {call.state}: it has no audio yet")
    return call.extra

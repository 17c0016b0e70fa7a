"""Sound for the calls, which SIPp itself can neither make nor hear: streams and descriptions of `lab.sip`, in a loop of their own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

from siplab_agent import Config, PcmRecorder, Refused

from lab.sip.fault import SdpError, TransportError
from lab.sip.keying import Clear
from lab.sip.media import MediaStream
from lab.sip.negotiation import Negotiation

_WITHIN = 8.0


class Studio:
    """The loop's thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="media", daemon=True).start()

    def do(self, work: Callable[[], Any]) -> Any:
        """Run `work` in the loop and return what it returns; Refused where there is no media to agree on."""

        async def run() -> Any:
            return work()

        try:
            return asyncio.run_coroutine_threadsafe(run(), self._loop).result(_WITHIN)
        except (SdpError, TransportError) as error:
            raise Refused(str(error)) from error


class Sound:
    """Stream, description and recorder of one call."""

    def __init__(self, studio: Studio, config: Config, on_digit: Callable[[str], None]) -> None:
        self._studio = studio
        self.recorder = PcmRecorder()
        self.stream: MediaStream = studio.do(lambda: MediaStream(config.ipv4, config.rtp_ports, self.recorder.feed, on_digit))
        self.stream.hz = config.tone_hz
        self.negotiation = Negotiation(Clear(), config.ipv4, self.stream)

    def offer(self) -> bytes:
        """Our description."""
        return bytes(self._studio.do(self.negotiation.offer))

    def answer(self, offer: str) -> bytes:
        """Our answer to theirs, or an offer of ours where they made none. Refused where there is none: 488."""
        if not offer:
            return self.offer()
        return bytes(self._studio.do(lambda: self.negotiation.accept_offer(offer.encode())))

    def answered(self, answer: str) -> None:
        """Their answer to our offer."""
        self._studio.do(lambda: self.negotiation.accept_answer(answer.encode()))

    def press(self, digits: str) -> None:
        """Send digits as RTP events."""
        self._studio.do(lambda: self.stream.press(digits))

    def close(self) -> None:
        """The call is over."""
        self._studio.do(self.stream.close)
        self.recorder.close()

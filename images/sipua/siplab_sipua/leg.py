"""One call: sipua's Call, told of what an agent has to tell."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import sipua
from aiortc import AudioStreamTrack, RTCRtpSender
from aiortc.mediastreams import MediaStreamError
from siplab_agent import PcmRecorder, log, sine
from sipmessage import Address, CSeq, Request, Response
from sipua.utils import SIP_STATUS_CODES

from .policy import demand
from .subscriber import CHALLENGES, Subscriber

CODEC = "PCMU"
DEADLINE = 32.0
"""Seconds that a CANCEL waits for a first response to its INVITE: as long as the INVITE itself does (Timer B)."""


class Tone(AudioStreamTrack):
    """The element's own tone instead of sipua's silence."""

    def __init__(self, hz: int) -> None:
        super().__init__()
        self.hz = hz

    async def recv(self) -> Any:
        """20 ms of it."""
        frame = await super().recv()
        plane = frame.planes[0]
        plane.update(sine(self.hz, frame.samples, frame.pts).ljust(plane.buffer_size, b"\0"))
        return frame


class Leg(sipua.Call):
    """A call with its subscriber, its tone and its recorder. `tell(state, code, reason)` hears of its life, once of its end."""

    def __init__(self, *, subscriber: Subscriber, tone_hz: int, invitation: Request | None = None, **options: Any) -> None:
        super().__init__(dtls=subscriber.media == "dtls", **options)
        self.subscriber = subscriber
        self.invitation = invitation
        self.tell: Callable[[str, int | None, str], None] = lambda *_: None
        self.recorder = PcmRecorder()
        self.tone = Tone(tone_hz)
        self._final: Response | None = None
        self._answered = asyncio.Event()
        self._closed = self._over = False
        audio = self.audioTransceiver
        audio.setCodecPreferences([known for known in RTCRtpSender.getCapabilities("audio").codecs if known.mimeType == f"audio/{CODEC}"])
        audio.sender.replaceTrack(self.tone)
        self._ear = asyncio.create_task(self._listen())
        """Held, or it would be collected."""

    async def _listen(self) -> None:
        track = self.audioTransceiver.receiver.track
        try:
            while True:
                frame = await track.recv()
                self.recorder.feed(bytes(frame.planes[0])[: 2 * frame.samples])
        except MediaStreamError:
            return

    # -- the caller ------------------------------------------------------------------------------------------------------------

    async def place(self) -> None:
        """INVITE, to an end or to an established call."""
        try:
            await self.invite()
        except Exception as error:
            if self._final is None:
                await self._end(None, line_of(error))
            elif self._final.code >= 300:
                await self._end(self._final.code, self._final.phrase)
            else:
                await self._give_up(error)
        else:
            self._connected()

    async def cancel(self) -> None:
        """CANCEL, as soon as there is a response to the INVITE (RFC 3261 §9.1); BYE where the 200 came first."""
        await asyncio.wait_for(self._answered.wait(), DEADLINE)
        if self._final is not None:
            await self.leave()
            return
        invitation = self.invitation
        request = Request("CANCEL", invitation.uri)
        request.via, request.max_forwards = invitation.via, 70
        request.to_address, request.from_address, request.call_id = invitation.to_address, invitation.from_address, invitation.call_id
        request.cseq = CSeq(sequence=invitation.cseq.sequence, method="CANCEL")
        await self._dialog_layer._transaction_layer.send_request(request)

    def provisional(self, response: Response) -> None:
        """A 1xx of our INVITE, which sipua keeps to itself."""
        self._answered.set()
        if response.code > 100:
            self.tell("ringing", response.code, response.phrase)

    async def send_request(self, request: Request) -> Response:
        """As sipua does, and once more with credentials where they are asked for (RFC 3261 §22)."""
        response = await self._send(request)
        if response.code in CHALLENGES:
            again = self.create_request(request.method)
            again.content_type, again.body = request.content_type, request.body
            problem = self.subscriber.authorise(again, response)
            if problem:
                log(problem)
            else:
                response = await self._send(again)
        if request.method == "INVITE":
            self._final = response
            self._answered.set()
        return response

    async def _send(self, request: Request) -> Response:
        if request.method == "INVITE":
            self.invitation = request
            self._answered.clear()
        return await super().send_request(request)

    # -- the callee ------------------------------------------------------------------------------------------------------------

    async def ring(self) -> None:
        """180."""
        await self.send_response(self.create_response(self.invitation, 180))
        self.tell("ringing", 180, "Ringing")

    async def answer(self) -> None:
        """200, then media."""
        try:
            await self.accept(self.invitation)
        except Exception as error:
            if self._final is None:
                log(f"the call cannot be answered: {line_of(error)}")
                await self.refuse(488)
            else:
                await self._give_up(error)

    async def refuse(self, code: int, reason: str | None = None, contact: Address | None = None) -> None:
        """A final response other than 200."""
        phrase = reason or SIP_STATUS_CODES.get(code, "Refused")
        response = sipua.create_response(request=self.invitation, code=code, phrase=phrase)
        if contact:
            response.contact = [contact]
        await self.send_response(response)
        await self._end(code, phrase)

    async def send_response(self, response: Response) -> None:
        """As sipua does; our 200 is what establishes a call."""
        await super().send_response(response)
        if response.cseq.method == "INVITE" and 200 <= response.code < 300:
            self._final = response
            self._connected()

    # -- both ------------------------------------------------------------------------------------------------------------------

    def _connected(self) -> None:
        self.tell("established", 200, "OK")

    async def _handle_sdp(self, value: str) -> None:
        demand(self.subscriber.media, value)
        await super()._handle_sdp(value)

    async def handle_request(self, request: Request) -> None:
        """sipua answers BYE, and nothing else within a dialog."""
        await super().handle_request(request)
        if request.method == "BYE":
            await self._end(200, "BYE")

    async def leave(self, reason: str = "BYE") -> None:
        """BYE. sipua's own way sends none before media has come up."""
        await self.hangup()
        if not self._closed:
            await self.send_request(self.create_request("BYE"))
        await self._end(200, reason)

    async def _give_up(self, error: Exception) -> None:
        log(f"the call was answered, and then: {line_of(error)}")
        await self.leave(line_of(error))

    async def _media_close(self) -> None:
        if not self._closed:
            self._closed = True
            await super()._media_close()

    async def _end(self, code: int | None, reason: str) -> None:
        await self._media_close()
        self.recorder.close()
        if not self._over:
            self._over = True
            self.tell("terminated", code, reason)


def line_of(error: Exception) -> str:
    """One line that says something, whatever was raised."""
    return f"{type(error).__name__}: {error}".split("\n")[0]

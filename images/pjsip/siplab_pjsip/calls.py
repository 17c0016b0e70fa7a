"""Calls: PJSIP's callbacks become the contract's events."""

from __future__ import annotations

import functools
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pjsua2 as pj
from siplab_agent.wire import log

from .media import Recording, Tone
from .translate import HoldState, bare_uri, direction, encryption, outcome

if TYPE_CHECKING:
    from .accounts import Account
    from .engine import Engine

_NOT_HEARD = (pj.PJSIP_EVENT_TIMER, pj.PJSIP_EVENT_TRANSPORT_ERROR)
_AUDIBLE = (pj.PJSUA_CALL_MEDIA_ACTIVE, pj.PJSUA_CALL_MEDIA_REMOTE_HOLD, pj.PJSUA_CALL_MEDIA_LOCAL_HOLD)


def guarded(callback: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
    """An exception that leaves a callback unwinds through C++ and aborts the process: report it as a fault instead."""

    @functools.wraps(callback)
    def wrapper(self: Any, prm: Any) -> None:
        try:
            callback(self, prm)
        except Exception as error:
            log(traceback.format_exc())
            self.engine.event("fault", what=f"agent: {callback.__name__}: {error!r}"[:300])

    return wrapper


def operation(code: int = 0, reason: str = "") -> pj.CallOpParam:
    """Defaults (one audio stream, no video) with a status code."""
    prm = pj.CallOpParam(True)
    prm.opt.audioCount, prm.opt.videoCount = 1, 0
    prm.statusCode = code
    if reason:
        prm.reason = reason
    return prm


class Call(pj.Call):  # type: ignore[misc]
    """One leg. `name` is the agent's handle for it (PJSIP reuses its own numbers), made up here for calls that come in."""

    def __init__(self, engine: Engine, account: Account, *, name: str = "", call_id: int = pj.PJSUA_INVALID_ID) -> None:
        super().__init__(account, call_id)
        self.engine = engine
        self.account = account
        self.name = name or engine.new_handle()
        self.hold_state = HoldState()
        self.transfer = ""
        self.replaced = False
        self.recordings: list[Recording] = []
        self.tone: Tone | None = None
        self.tone_hz = engine.config.tone_hz
        self.audio: pj.AudioMedia | None = None
        engine.calls[self.name] = self

    def report(self, state: str, **members: Any) -> None:
        """Report a state."""
        self.engine.event("call.state", call=self.name, state=state, **members)

    # -- signalling ------------------------------------------------------------------------------------------------------------

    @guarded
    def onCallState(self, prm: Any) -> None:
        """The INVITE session moved on."""
        info = self.getInfo()
        members = outcome(info.lastStatusCode, info.lastReason, _heard(prm.e))
        if info.state == pj.PJSIP_INV_STATE_CALLING:
            self.report("calling")
        elif info.state == pj.PJSIP_INV_STATE_EARLY:
            self.report("ringing", **members)
        elif info.state == pj.PJSIP_INV_STATE_CONFIRMED:
            self.report("established", **members)
        elif info.state == pj.PJSIP_INV_STATE_DISCONNECTED:
            self.close()
            self.report("terminated", **({"reason": "replaced by another call"} if self.replaced else members))

    def onCallRedirected(self, prm: Any) -> int:
        """A 3xx: not followed, so that the call ends with that code (pjsua2's own choice, STOP, ends it with 487)."""
        return int(pj.PJSIP_REDIRECT_REJECT)

    @guarded
    def onCallTransferRequest(self, prm: Any) -> None:
        """A REFER: accepted, and the new call is made by PJSIP itself."""
        successor = Call(self.engine, self.account)
        prm.newCall = successor
        target = bare_uri(prm.dstUri)
        self.engine.event("transfer", call=self.name, state="requested", target=target)
        self.engine.event("outgoing", call=successor.name, account=self.account.name, target=target)

    @guarded
    def onCallTransferStatus(self, prm: Any) -> None:
        """A NOTIFY about our REFER, or its refusal."""
        state = "accepted"
        if prm.finalNotify or prm.statusCode >= 200:
            state = "done" if prm.statusCode // 100 == 2 else "failed"
        prm.cont = state == "accepted"
        if state != self.transfer:  # every NOTIFY with a provisional code says "accepted" again
            self.transfer = state
            self.engine.event("transfer", call=self.name, state=state, code=prm.statusCode)

    @guarded
    def onCallReplaceRequest(self, prm: Any) -> None:
        """An INVITE with Replaces (RFC 3891): PJSIP answers it and ends the old call."""
        successor = Call(self.engine, self.account)
        prm.newCall = successor
        self.engine.event("call.incoming", call=successor.name, account=self.account.name, **{"from": bare_uri(self.getInfo().remoteUri)})

    @guarded
    def onCallReplaced(self, prm: Any) -> None:
        """Our successor was answered and PJSIP ends us, with a 410 that nobody ever sends."""
        self.replaced = True

    @guarded
    def onInstantMessage(self, prm: Any) -> None:
        """A MESSAGE inside this dialog."""
        self.engine.message(prm)

    @guarded
    def onDtmfDigit(self, prm: Any) -> None:
        """A digit, by RTP event or INFO."""
        via = "info" if prm.method == pj.PJSUA_DTMF_METHOD_SIP_INFO else "rfc4733"
        self.engine.event("call.dtmf", call=self.name, digit=prm.digit, via=via)

    # -- media -----------------------------------------------------------------------------------------------------------------

    @guarded
    def onCallMediaState(self, prm: Any) -> None:
        """An offer/answer exchange was completed: streams were made, changed or stopped."""
        info = self.getInfo()  # kept: SWIG frees it with the last reference and its members dangle
        media = next((part for part in info.media if part.type == pj.PJMEDIA_TYPE_AUDIO), None)
        if media is None:
            return
        if media.status in _AUDIBLE and media.dir:
            self._connect(self.getAudioMedia(media.index), speak=media.status != pj.PJSUA_CALL_MEDIA_LOCAL_HOLD)
        members: dict[str, Any] = {"direction": direction(media.dir)}
        if media.status in _AUDIBLE:
            members.update(self._stream(media.index))
        self.engine.event("call.media", call=self.name, **members)
        change = self.hold_state.change(media.status)
        if change:
            self.report(change)

    def _stream(self, index: int) -> dict[str, str]:
        try:
            info = self.getStreamInfo(index)
        except pj.Error as error:  # an inactive stream does not exist
            log(f"{self.name}: no stream: {error.reason}")
            return {}
        return {"codec": f"{info.codecName}/{info.codecClockRate}", "encryption": encryption(info.proto)}

    def _connect(self, audio: pj.AudioMedia, *, speak: bool) -> None:
        self.audio = audio
        if self.tone is None:
            self.tone = Tone()
            self.tone.play(self.tone_hz)
        if speak:
            self.tone.connect(audio)
        else:
            self.tone.disconnect()
        for recording in self.recordings:
            recording.connect(audio)

    def play(self, hz: int) -> None:
        """Change the tone, now or for when media starts."""
        self.tone_hz = hz
        if self.tone:
            self.tone.play(hz)

    def record(self, recording: Recording) -> None:
        """Record the received audio, from now or from when media starts."""
        self.recordings.append(recording)
        if self.audio:
            recording.connect(self.audio)

    def close(self) -> None:
        """The call is over: finish its recordings and let go of the media, but of ourselves only outside of the callback."""
        self.engine.finish(self.recordings)
        self.recordings, self.tone, self.audio = [], None, None
        self.engine.calls.pop(self.name, None)
        self.engine.grave.append(self)


def _heard(event: Any) -> bool:
    """False where a state came from a timer or a broken transport instead of a message."""
    if event.type == pj.PJSIP_EVENT_TSX_STATE:
        return event.body.tsxState.type not in _NOT_HEARD
    return event.type not in _NOT_HEARD

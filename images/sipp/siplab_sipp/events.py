"""What SIPp tells, as the contract's events. All of it comes from its scenarios, and so is `native`."""

from __future__ import annotations

import re

from siplab_agent import Account, Agent, Call, Refused, log
from siptext import Message, bare

from .media import Sound
from .process import Told


class SippEvents(Agent):
    """The listening half of the agent."""

    def furnish(self, call: Call) -> None:
        """Give a call its sound."""
        raise NotImplementedError

    def sound(self, call: Call) -> Sound:
        """The sound of a call."""
        found: Sound = call.extra["sound"]
        return found

    def heard(self, account: Account, told: Told) -> None:
        """In a reader's thread."""
        self.post(lambda: self._on_told(account, told))

    def _on_told(self, account: Account, told: Told) -> None:
        message = told.message
        call = next((call for call in self.calls.values() if call.native == told.call_id), None)
        if told.event == "incoming":
            self._on_incoming(account, told)
        elif told.event == "message":
            members = {"from": bare(message.headers.get("from", "")), "content_type": message.headers.get("content-type")}
            self.emit("message.received", **members, body=message.body)
        elif told.event == "over":
            self.over(account, told.call_id, message)
        elif call:
            getattr(self, f"_on_{told.event}")(call, message)

    def over(self, account: Account, call_id: str, message: Message | None) -> None:
        """A transaction that makes no call was answered, or was not: tell it, once."""
        purpose = account.native.asked.pop(call_id, None)
        code, reason = (message.code, message.reason) if message else (None, "no answer")
        succeeded = code is not None and code < 300
        if purpose in ("register", "unregister"):
            state = f"{purpose}ed" if succeeded else "failed"
            expires = message.expires if message and state == "registered" else None
            self.registration(account, state, code=code, reason=reason, expires=expires)
        elif purpose:
            self.emit("message.status", message=purpose, code=code, ok=succeeded)

    def _on_incoming(self, account: Account, told: Told) -> None:
        headers = told.message.headers
        call = self.incoming(account, bare(headers.get("from", "")), bare(headers.get("to", "")), native=told.call_id)
        call.extra.update(sipp=account.native.callee, offer=told.message.body)
        self.furnish(call)

    def _on_ringing(self, call: Call, message: Message) -> None:
        self.call_state(call, "ringing", message.code or None, message.reason or None)

    def _on_answered(self, call: Call, message: Message) -> None:
        """Our INVITE was; SIPp has sent the ACK."""
        self.sound(call).answered(message.body)
        self.call_state(call, "established", message.code or None, message.reason or None)
        self._tell_media(call)

    def _on_acknowledged(self, call: Call, message: Message) -> None:
        """Our 200 was. Where the offer was ours, their answer is in the ACK."""
        if not call.pending:
            return
        if not call.extra["offer"]:
            self.sound(call).answered(message.body)
        self.call_state(call, "established", 200)
        self._tell_media(call)

    def _on_offered(self, call: Call, message: Message) -> None:
        """A re-INVITE."""
        try:
            answer = self.sound(call).answer(message.body)
        except Refused as refusal:
            log(f"{call.id}: re-INVITE refused: {refusal}")
            call.extra["sipp"].command(call.native, "refuse")
            return
        call.extra["sipp"].command(call.native, "accept", answer)
        self._tell_hold(call)

    def _on_reanswered(self, call: Call, message: Message) -> None:
        self.sound(call).answered(message.body)
        self._tell_hold(call)

    def _on_rerefused(self, call: Call, message: Message) -> None:
        log(f"{call.id}: our re-INVITE was refused with {message.code} {message.reason}")

    def _on_digit(self, call: Call, message: Message) -> None:
        found = re.search(r"^Signal *= *([0-9*#A-D])", message.body, re.M)
        if found:
            self.emit("call.dtmf", call=call.id, digit=found[1], via="info")

    def _on_refused(self, call: Call, message: Message) -> None:
        self.drop(call)
        self.call_state(call, "terminated", message.code or None, message.reason or None)

    _on_left = _on_gone = _on_refused

    def _on_aborted(self, call: Call, message: Message) -> None:
        self.drop(call)
        self.call_state(call, "terminated", reason="SIPp aborted the call: it met a message that its scenario does not know, or silence")

    def drop(self, call: Call) -> None:
        """Free the sound of a call that is over."""
        sound = call.extra.pop("sound", None)
        if sound:
            sound.close()

    def _tell_hold(self, call: Call) -> None:
        held = self.sound(call).negotiation.met != "sendrecv"
        if held != (call.state == "held"):
            self.call_state(call, "held" if held else "resumed")
        self._tell_media(call)

    def _tell_media(self, call: Call) -> None:
        negotiation = self.sound(call).negotiation
        codec = negotiation.agreed.codec.partition("/")[0] if negotiation.agreed else None
        self.emit("call.media", call=call.id, direction=negotiation.met, encryption="none", codec=codec)

"""What twinkle tells on its console and, for what that leaves out, in its SIP log, turned into the contract's events."""

from __future__ import annotations

import re

from siplab_agent import Agent, Call, log
from siptext import Message, bare

from .console import Told, status
from .phone import Phone

OUTCOME_WITHIN = 4.0
"""Seconds that a call which twinkle calls ended waits for the answer to its BYE or CANCEL before it is told without a code."""
ESTABLISHED_WITHIN = 1.0
"""Seconds for the console to tell that a call is established, once the log has its ACK. A command typed between the two is ignored."""
CANCELLED = 487
"""The one final answer to a call that the console tells of all the same, maybe later than the log does (RFC 3261 §9.2)."""
_REVERSED = {"sendonly": "recvonly", "recvonly": "sendonly"}
_TEXTS = {
    "incoming call": "incoming",
    "far end answered call.": "answered",
    "call established.": "established",
    "call failed.": "failed",
    "call ended.": "ended",
    "answer timeout.": "ended",
    "no ACK received, call will be terminated.": "ended",
    "SDP answer from far end missing.": "ended",
    "SDP answer from far end not supported.": "ended",
    "re-INVITE successful.": "reinvited",
    "received notification.": "notified",
    "call successfully referred.": "referred",
    "call refer failed.": "refer_failed",
    "refer request failed.": "refer_failed",
    "call transfer failed.": "retrieved",
}
"""What stands behind `Line N:` and the handler for it."""


class TwinkleEvents(Agent):
    """The listening half of the agent."""

    phones: dict[str, Phone]
    """By account id."""

    # ---- the console ------------------------------------------------------------------------------------------------

    def on_told(self, phone: Phone, told: Told) -> None:
        """One thing off the console."""
        if told.line:
            self._on_line_told(phone, told)
        elif told.what == "Received message":
            self.emit("message.received", **{"from": bare(told.value("From"))}, body=told.text, content_type="text/plain")
        elif told.what == "Failed to send MESSAGE.":
            code, _ = told.status
            self.message_done(phone, next(iter(phone.messages), ""), code, "native")
        else:
            self._on_registration(phone, told.what)

    def _on_registration(self, phone: Phone, what: str) -> None:
        granted = re.search(r"registration succeeded \(expires = (\d+) ", what)
        code, reason = status(what.partition(": ")[2])
        if granted:
            phone.registered, phone.asked = True, False
            self.registration(phone.account, "registered", code=200, expires=int(granted[1]))
        elif "registration failed" in what:
            phone.failed, phone.asked = True, False
            self.registration(phone.account, "failed", code=code, reason=reason)
        else:
            phone.registered = False
            self.registration(phone.account, "unregistered", code=code, reason=reason)

    def _on_line_told(self, phone: Phone, told: Told) -> None:
        handler = _TEXTS.get(told.what)
        digit = re.fullmatch(r"DTMF detected: ([0-9*#A-D])", told.what)
        provisional = re.fullmatch(r"received (1\d\d) (.*)", told.what)
        call = phone.lines[told.line]
        if handler == "incoming":
            self._told_incoming(phone, told)
        elif call is None:
            return
        elif handler:
            getattr(self, f"_told_{handler}")(phone, call, told)
        elif digit:
            self.emit("call.dtmf", call=call.id, digit=digit[1])
        elif provisional and provisional[1] != "100" and call.pending:
            self.call_state(call, "ringing", int(provisional[1]), provisional[2])
        elif told.what.startswith("transferring call to "):
            self._told_transferring(phone, call, told)

    def _told_incoming(self, phone: Phone, told: Told) -> None:
        native = next(reversed(phone.offers), None)
        call = self.incoming(phone.account, bare(told.value("From")), bare(told.value("To")), native=native)
        phone.lines[told.line] = call
        code = phone.offers[native] if native else 0
        phone.offers.clear()
        if code > 100:
            self.call_state(call, "ringing", 180, source="log")
        if code == CANCELLED:
            self.hung_up(phone, call, code, "Request Terminated")

    def _told_answered(self, phone: Phone, call: Call, told: Told) -> None:
        code, reason = told.status
        self.call_state(call, "established", code, reason)
        self._tell_media(call)

    def _told_established(self, phone: Phone, call: Call, told: Told | None, source: str = "native") -> None:
        """The ACK is in; told once, by the console or, should that say nothing, by the log."""
        if call.pending:
            self.call_state(call, "established", call.extra.get("final"), source=source)
            self._tell_media(call)

    def _told_failed(self, phone: Phone, call: Call, told: Told) -> None:
        code, reason = told.status
        self.hung_up(phone, call, code, reason, "native")

    def _told_ended(self, phone: Phone, call: Call, told: Told) -> None:
        """Printed when the BYE or CANCEL is sent, not when it is answered: the log has the answer."""
        call.extra["closing"] = True
        self._free(phone, call)
        self.after(OUTCOME_WITHIN, lambda: self.call_state(call, "terminated", reason=told.what))

    def _told_reinvited(self, phone: Phone, call: Call, told: Told) -> None:
        self._tell_hold(call, call.extra.get("offered"), "native")

    def _told_notified(self, phone: Phone, call: Call, told: Told) -> None:
        call.extra["progress"] = status(told.value("Progress"))

    def _told_referred(self, phone: Phone, call: Call, told: Told) -> None:
        code, _ = call.extra.get("progress", (None, None))
        self.emit("transfer", call=call.id, state="done", code=code, target=call.extra.get("refer"))

    def _told_refer_failed(self, phone: Phone, call: Call, told: Told) -> None:
        code = told.status[0] or call.extra.get("progress", (None, None))[0]
        self.emit("transfer", call=call.id, state="failed", code=code, target=call.extra.get("refer"))

    def _told_transferring(self, phone: Phone, call: Call, told: Told) -> None:
        """Twinkle follows a REFER by itself: the new call gets the line, the old one waits in the background."""
        target = bare(told.what.removeprefix("transferring call to "))
        self.emit("transfer", call=call.id, state="requested", target=target)
        new = Call(self.new_id("c"), call.account, incoming=False, target=target)
        new.extra["referrer"] = call
        self.calls[new.id] = new
        phone.lines[_line_of(phone, call)] = new
        self.call_state(new, "calling")

    def _told_retrieved(self, phone: Phone, call: Call | None, told: Told) -> None:
        """A transfer failed: `_free` has given the line back to the old call."""

    # ---- the SIP log ------------------------------------------------------------------------------------------------

    def on_message(self, phone: Phone, message: Message) -> None:
        """A SIP message that twinkle sent or received."""
        handler = getattr(self, f"_logged_{message.method.lower()}", None)
        if handler:
            handler(phone, message)

    def _call_of(self, phone: Phone, message: Message) -> Call | None:
        return next((call for call in self.calls.values() if call.account is phone.account and call.native == message.call_id), None)

    def _logged_invite(self, phone: Phone, message: Message) -> None:
        call = self._call_of(phone, message)
        if not message.code:
            self._logged_invitation(phone, call, message)
        elif message.sent:
            self._logged_our_answer(phone, call, message)
        elif call and message.code >= 200:
            call.extra["allowed"] = message.direction or call.extra.get("allowed")
            if call.pending and call.extra.get("closing") and message.final and message.code >= 300:
                self.hung_up(phone, call, message.code, message.reason)

    def _logged_invitation(self, phone: Phone, call: Call | None, message: Message) -> None:
        if message.sent and not call and not message.in_dialog:
            call = next((other for other in phone.lines.values() if other and not other.incoming and other.native is None), None)
            if call:
                call.native = message.call_id
        if call:
            call.extra["offered"] = message.direction
            call.extra["asked"] = None if message.sent else message.direction
        elif message.call_id and not message.sent and not message.in_dialog:
            phone.offers.setdefault(message.call_id, 0)

    def _logged_our_answer(self, phone: Phone, call: Call | None, message: Message) -> None:
        call = call or self._claim(phone, message)
        if call is None:
            return
        if message.code >= 300 and call.pending:
            self.hung_up(phone, call, message.code, message.reason)
        elif message.code >= 200:
            if call.extra.get("acknowledged"):  # so this answers a re-INVITE, of which the console tells nothing
                self._told_established(phone, call, None, "log")
            call.extra["final"] = message.code
            call.extra["direction"] = message.direction
            if call.answered and call.extra.get("asked"):
                self._tell_hold(call, call.extra["asked"], "log")
        elif message.code > 100:
            self.call_state(call, "ringing", message.code, message.reason, source="log")

    def _logged_ack(self, phone: Phone, message: Message) -> None:
        call = self._call_of(phone, message)
        if call and not message.sent and call.extra.get("final") == 200:
            call.extra["acknowledged"] = True
            self.after(ESTABLISHED_WITHIN, lambda: self._told_established(phone, call, None, "log"))

    def _claim(self, phone: Phone, message: Message) -> Call | None:
        """Whose answer it is: of a call that was told of before its Call-ID was known, or of one that was not told of yet."""
        call = next((other for other in phone.lines.values() if other and other.incoming and other.native is None), None)
        if call:
            call.native = message.call_id
        elif message.code < 200 or message.code == CANCELLED:
            phone.offers[message.call_id] = message.code  # the console has yet to tell of it
        else:
            phone.offers.pop(message.call_id, None)  # refused by itself, nobody was told; or the call is over
        return call

    def _logged_bye(self, phone: Phone, message: Message) -> None:
        call = self._call_of(phone, message)
        if call and message.code and (message.sent or message.final):
            self.hung_up(phone, call, message.code, message.reason)

    def _logged_refer(self, phone: Phone, message: Message) -> None:
        call = self._call_of(phone, message)
        if call and not message.sent and 200 <= message.code < 300:
            self.emit("transfer", source="log", call=call.id, state="accepted", code=message.code, target=call.extra.get("refer"))

    def _logged_register(self, phone: Phone, message: Message) -> None:
        """The console is silent about a registration that was one already."""
        if phone.registered and phone.asked and not message.sent and 200 <= message.code < 300:
            phone.asked = False
            self.registration(phone.account, "registered", code=message.code, reason=message.reason, expires=message.expires, source="log")

    def _logged_message(self, phone: Phone, message: Message) -> None:
        if message.sent and not message.code:
            waiting = next((id_ for id_, call_id in phone.messages.items() if not call_id), None)
            if waiting and message.call_id not in phone.messages.values():
                phone.messages[waiting] = message.call_id
        elif not message.sent and message.final:
            found = next((id_ for id_, call_id in phone.messages.items() if call_id == message.call_id), "")
            self.message_done(phone, found, message.code, "log")

    # ---- what both lead to ------------------------------------------------------------------------------------------

    def message_done(self, phone: Phone, message: str, code: int | None, source: str) -> None:
        """Tell the outcome of a message, once."""
        if phone.messages.pop(message, None) is not None:
            self.emit("message.status", source=source, message=message, code=code, ok=code is not None and code < 300)

    def hung_up(self, phone: Phone, call: Call, code: int | None, reason: str | None, source: str = "log") -> None:
        """A call is over."""
        self._free(phone, call)
        self.call_state(call, "terminated", code, reason, source=source)

    def _free(self, phone: Phone, call: Call) -> None:
        """Its line is free, or has the call back from which it came by a REFER that failed."""
        for line, other in phone.lines.items():
            if other is call:
                referrer = call.extra.get("referrer")
                phone.lines[line] = referrer if referrer and referrer.live and call.pending else None

    def _tell_hold(self, call: Call, offered: str | None, source: str) -> None:
        if offered is None:
            log(f"{call.id}: twinkle's log has cut off the session description: direction unknown")
            return
        self.call_state(call, "held" if offered in ("sendonly", "inactive", "recvonly") else "resumed", source=source)
        self._tell_media(call)

    def _tell_media(self, call: Call) -> None:
        """Our direction: what we answered, or the reverse of what was answered to us (RFC 3264 §6.1)."""
        answered = call.extra.get("allowed")
        direction = _REVERSED.get(answered, answered) if answered else None
        if call.extra.get("final"):
            direction = call.extra.get("direction")
        self.emit("call.media", source="log", call=call.id, direction=direction, encryption="none")


def _line_of(phone: Phone, call: Call) -> int:
    return next(line for line, other in phone.lines.items() if other is call)

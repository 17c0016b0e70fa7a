"""What baresip tells: its control events and, for what those leave out, its SIP trace, turned into the contract's events."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from dialect import Dialect
from siplab_agent import Account, Call, Child, WavSlicer, log
from siptext import Message, bare
from traced import TracedEvents, status


class Binding:
    """What baresip has for an account: the file it plays to, and whether it is registered."""

    def __init__(self, player: str) -> None:
        self.player = player
        self.registered = False
        self.granted: int | None = None
        self.flows: dict[str, int] = {}
        self.up: set[int] = set()
        self.slicer: WavSlicer | None = None
        self.early: list[tuple[str, float, Callable[[str, float], None]]] = []

    def plays_to(self, player: str) -> None:
        """Another file from now on; a recording that began without one goes on there."""
        early, self.early = self.early, []
        self.close_slicer()
        self.player = player
        for path, seconds, done in early:
            self.record(path, seconds, done)

    def record(self, path: str, seconds: float, done: Callable[[str, float], None]) -> None:
        """Cut out of the file, or wait for one."""
        if self.player:
            self.open_slicer().record(path, seconds, done)
        else:
            self.early.append((path, seconds, done))

    def close_slicer(self) -> None:
        """Let go of the file. Idempotent."""
        if self.slicer:
            self.slicer.close()
            self.slicer = None

    def open_slicer(self) -> WavSlicer:
        """Follow the player's file from the first recording on."""
        if self.slicer is None:
            self.slicer = WavSlicer(self.player)
        return self.slicer


class BaresipEvents(TracedEvents):
    """The listening half of the agent: knows the accounts and what is under way, asks baresip for nothing but `remake`."""

    child: Child
    dialect: Dialect
    order: list[Account]
    """Accounts in baresip's order."""
    leaving: dict[str, Account]
    """Accounts whose un-REGISTER is not answered yet, by address of record."""
    messages: list[str]
    """Messages asked for and not yet seen on the wire."""
    sent_messages: dict[str, str]
    """Call-ID → message that was sent and not yet answered."""
    tls_error = ""
    """Why the last certificate was refused."""
    dump = ""
    """The file that sndfile writes, of a call that is not known to be established yet."""

    def remake(self, account: Account) -> None:
        """Replace the account's UA by one that does not register."""
        raise NotImplementedError

    def on_control(self, event: dict[str, Any]) -> None:
        """In the reader's thread: what was traced before the event is digested before it."""
        self.child.drain()
        log(f"baresip tells {json.dumps(event, ensure_ascii=False)}")
        self.post(lambda: self._on_event(event))

    def _on_event(self, event: dict[str, Any]) -> None:
        if event.get("message"):
            members = {"from": event.get("from"), "body": event.get("body", ""), "content_type": event.get("ctype")}
            self.emit("message.received", **members)
            return
        kind = str(event.get("type", ""))
        handler = getattr(self, "_on_" + kind.lower(), None)
        if handler is None:
            return
        if not kind.startswith("CALL_") and not kind.startswith("TRANSFER"):
            handler(event)
            return
        call = self._call_of(event)
        if call:
            handler(call, self.dialect.complete(event, call))

    def _call_of(self, event: dict[str, Any]) -> Call | None:
        native = event.get("id")
        call = next((call for call in self.calls.values() if call.native == native), None)
        account = self.account_of(str(event.get("accountaor")))
        if call or not native or not account:
            return call
        if event.get("direction") == "outgoing" and (dialled := self._dialled(account)):
            dialled.native = native
            return dialled
        if event["type"] == "CALL_INCOMING":
            return self.incoming(account, str(event["peeruri"]), native=native)
        if event.get("direction") == "outgoing" and event["type"] in ("CALL_LOCAL_SDP", "CALL_RINGING", "CALL_ANSWERED"):
            call = Call(self.new_id("c"), account, incoming=False, target=str(event.get("peeruri", "")), native=native)
            self.calls[call.id] = call  # baresip follows a REFER by itself
            self.call_state(call, "calling")
        return call

    def _dialled(self, account: Account) -> Call | None:
        """A call that baresip has not named yet."""
        return next((call for call in self.calls.values() if call.account is account and not call.incoming and call.native == ""), None)

    def _on_register_ok(self, event: dict[str, Any]) -> None:
        account = self.account_of(str(event["accountaor"]))
        if account and len(account.hops) == 1 and not account.native.registered:
            account.native.registered = True
            code, reason = status(str(event.get("param", "")))
            self.registration(account, "registered", code=code, reason=reason, expires=account.native.granted)

    def _on_register_fail(self, event: dict[str, Any]) -> None:
        account = self.account_of(str(event["accountaor"]))
        if account is None:
            return
        code, reason = self._why(event)
        if len(account.hops) > 1:
            self.unanswered(account, code, reason)  # the others go on, and it tries again (RFC 5626 §4.5)
            return
        self.registration(account, "failed", code=code, reason=reason)
        if not any(call.account is account for call in self.calls.values()):
            self.remake(account)  # else it goes on trying

    def _on_call_incoming(self, call: Call, event: dict[str, Any]) -> None:
        self.call_state(call, "ringing", 180)

    def _on_call_ringing(self, call: Call, event: dict[str, Any]) -> None:
        if call.pending:
            self.call_state(call, "ringing", call.extra.get("provisional"))

    _on_call_progress = _on_call_ringing

    def _on_call_established(self, call: Call, event: dict[str, Any]) -> None:
        if call.extra.get("closing"):
            return
        self._take_dump([call])
        call.extra["allowed"] = event.get("remoteaudiodir", "sendrecv")
        self.call_state(call, "established", 200)
        self._tell_media(call)

    def _on_call_answered(self, call: Call, event: dict[str, Any]) -> None:
        """The answer to our INVITE or re-INVITE is in; the new SDP is told by the event that follows."""
        call.extra["answered"] = "wanted" in call.extra

    def _on_call_remote_sdp(self, call: Call, event: dict[str, Any]) -> None:
        """Sent for every SDP of the peer, and also by `hold` itself before anything was answered."""
        if not call.answered:
            return
        before, call.extra["allowed"] = call.extra.get("allowed"), event.get("remoteaudiodir", "sendrecv")
        wanted = call.extra.get("wanted")
        if wanted and (call.extra.pop("answered", False) or event.get("answers")):
            del call.extra["wanted"]
            self.call_state(call, wanted)
            self._tell_media(call)
        elif not wanted and not call.extra.get("hold") and _held(before) != _held(call.extra["allowed"]):
            self.call_state(call, "held" if _held(call.extra["allowed"]) else "resumed")
            self._tell_media(call)

    def _on_call_menc(self, call: Call, event: dict[str, Any]) -> None:
        """`N,audio,SUITE` when SRTP keys are in use."""
        call.extra["encrypted"] = True
        if call.answered:
            self._tell_media(call)

    def _tell_media(self, call: Call) -> None:
        self.tell_media(call, _direction(bool(call.extra.get("hold")), call.extra["allowed"]))

    def _on_call_dtmf_start(self, call: Call, event: dict[str, Any]) -> None:
        self.emit("call.dtmf", call=call.id, digit=event.get("param"))

    def _on_call_closed(self, call: Call, event: dict[str, Any]) -> None:
        slicer = call.account.native.slicer
        if slicer:
            slicer.finish()
        text = str(event.get("param", ""))
        if text == "Call transfered":
            self.emit("transfer", call=call.id, state="done", code=200, target=call.extra.get("refer"))
        if not call.extra.get("closing"):
            code, reason = self._why(event)
            self.call_state(call, "terminated", code or call.extra.get("final"), reason)

    def _on_transfer(self, call: Call, event: dict[str, Any]) -> None:
        self.emit("transfer", call=call.id, state="requested", target=event.get("param"))

    _on_call_transfer = _on_transfer

    def _on_transfer_failed(self, call: Call, event: dict[str, Any]) -> None:
        """baresip ends the call with it (BYE) and tells no CALL_CLOSED."""
        code, reason = status(str(event.get("param", "")))
        self.emit("transfer", call=call.id, state="failed", code=code, target=call.extra.get("refer"))
        self.call_state(call, "terminated", reason=f"transfer failed: {reason}")

    _on_call_transfer_failed = _on_transfer_failed

    # ---- the trace --------------------------------------------------------------------------------------------------

    def _traced_register(self, message: Message) -> None:
        super()._traced_register(message)
        aor = bare(message.headers.get("to", ""))
        leaving = self.leaving.get(aor)
        if leaving is None or message.sent or not message.final:
            return
        del self.leaving[aor]
        state = "unregistered" if message.code < 300 and not message.expires else "failed"
        self.registration(leaving, state, code=message.code, reason=message.reason, source="log")

    def _traced_message(self, message: Message) -> None:
        if not message.sent and not message.code and not self.dialect.tells_messages:
            sender, kind = bare(message.headers.get("from", "")), message.headers.get("content-type")
            self.emit("message.received", source="log", **{"from": sender}, body=message.body, content_type=kind)
        if message.sent and not message.code and message.call_id not in self.sent_messages and self.messages:
            self.sent_messages[message.call_id] = self.messages.pop(0)
        elif not message.sent and message.final:
            self.message_done(self.sent_messages.get(message.call_id, ""), message.code, "log")

    def message_done(self, message: str, code: int | None, source: str = "polled") -> None:
        """Tell the outcome of a message, once; no code where nobody answered."""
        waiting = message in self.messages or message in self.sent_messages.values()
        if waiting:
            self.messages = [other for other in self.messages if other != message]
            self.sent_messages = {key: other for key, other in self.sent_messages.items() if other != message}
            self.emit("message.status", source=source, message=message, code=code, ok=code is not None and code < 300)

    def on_line(self, line: str) -> None:
        """What only the log has: why TLS refused a certificate, and that a MESSAGE could not be sent at all (both in red)."""
        refused = re.search(r"verify_handler: error_string = (.+)", line)
        if refused:
            self.post(lambda: setattr(self, "tls_error", refused[1]))
        dump = re.search(r"sndfile: dumping decode audio to (\S+)", line)
        if dump:
            self.post(lambda: self._dumping(dump[1]))
        lost = re.search(r" \x1b\[31m(.+)\x1b\[;m$", line)
        if lost and not re.match(r"\d{3} ", lost[1]):
            self.post(lambda: self._message_lost(lost[1]))

    def _dumping(self, path: str) -> None:
        """With DTLS the audio of a call starts after the call."""
        self.dump = path
        self._take_dump([call for call in self.calls.values() if call.answered])

    def _take_dump(self, calls: list[Call]) -> None:
        call = next((call for call in calls if self.dump and "dump" not in call.extra), None)
        if call:
            call.extra["dump"], self.dump = self.dump, ""
            call.account.native.plays_to(call.extra["dump"])

    def _why(self, event: dict[str, Any]) -> tuple[int | None, str | None]:
        """Code and reason of an event; "Protocol error" is made readable by what TLS said before."""
        code, reason = status(str(event.get("param", "")))
        if self.tls_error and code is None and reason:
            reason, self.tls_error = f"{reason}: {self.tls_error}", ""
        return code, reason

    def _message_lost(self, why: str) -> None:
        waiting = [*self.sent_messages.values(), *self.messages]
        if waiting:
            log(f"message {waiting[0]} not sent: {why}")
            self.message_done(waiting[0], None, "log")


def _held(allowed: str | None) -> bool:
    """baresip's `remoteaudiodir` is turned around already: what the peer allows *us* to do."""
    return allowed in ("recvonly", "inactive")


def _direction(hold: bool, allowed: str) -> str:
    """Our direction: what the peer allows, without receiving while we hold (RFC 3264 §8.4)."""
    if not hold:
        return allowed
    return {"sendrecv": "sendonly", "recvonly": "inactive"}.get(allowed, allowed)

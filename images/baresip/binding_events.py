"""What baresip-python tells: the stack's events and, for what those leave out, its SIP trace, turned into the contract's events."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from siplab_agent import Account, Call
from stack import Stack
from traced import TracedEvents, status
from voice import Voice

TRACE_WITHIN = 0.25
"""Seconds that an event waits for the trace to say the rest: the two come in different threads."""


@dataclass
class Binding:
    """What baresip has for an account. It knows no way to delete a user agent, so an account may have had several."""

    agents: list[Any] = field(default_factory=list)
    expires: int = 0
    granted: int | None = None
    awaiting: str = ""
    registered: bool = False
    flows: dict[str, int] = field(default_factory=dict)
    up: set[int] = field(default_factory=set)


class BindingEvents(TracedEvents):
    """The listening half of the agent."""

    stack: Stack

    def tell_registration(self, account: Account, state: str, **members: Any) -> None:
        """An outcome that was waited for."""
        account.native.awaiting = ""
        account.native.registered = state == "registered"
        self.registration(account, state, **members)

    def adopt(self, call: Call, leg: Any) -> None:
        """The binding's own call; its sound begins."""
        call.extra["leg"] = leg
        call.extra["handle"] = leg.handle
        call.extra["voice"] = Voice(leg, self.config.tone_hz)
        self.stack.launch(call.extra["voice"].run())

    def on_event(self, event: Any) -> None:
        """What the stack tells, on the agent's thread."""
        name = event.event.name.lower()
        if name.startswith("register_"):
            account = self._owner(event.ua)
            if account:
                self._on_registration(account, name, event.text or "")
            return
        call = self._by_handle(event.call)
        if call is None and name == "call_outgoing":
            call = self._follow(event)
        handler = getattr(self, "_on_" + name, None)
        if call and event.call_id:
            call.native = event.call_id
        if call and handler:
            handler(call, event)

    def _owner(self, agent: int) -> Account | None:
        return next((each for each in self.accounts.values() if any(known.handle == agent for known in each.native.agents)), None)

    def _by_handle(self, leg: int) -> Call | None:
        return next((call for call in self.calls.values() if call.extra.get("handle") == leg), None)

    def _on_registration(self, account: Account, name: str, text: str) -> None:
        code, reason = status(text)
        if len(account.hops) > 1 and name == "register_fail":
            self.unanswered(account, code, reason)
        awaited = account.native.awaiting
        if not awaited or len(account.hops) > 1:
            return  # a refresh, or another try after a failure; of several flows the trace tells
        if name == "register_fail":
            self.tell_registration(account, "failed", code=code, reason=reason)
        elif awaited == "unregistered":
            self.tell_registration(account, awaited, code=code, reason=reason)
        else:

            def tell() -> None:
                self.tell_registration(account, awaited, code=code, reason=reason, expires=account.native.granted)

            self._once(account.native.granted is not None, tell)

    def _once(self, known: bool, tell: Callable[[], Any]) -> None:
        """Tell now, or when the trace has had its time."""
        if known:
            tell()
        else:
            self.after(TRACE_WITHIN, tell)

    def arrived(self, account: Account, leg: Any) -> None:
        """An incoming call; nobody wants one of an account that was removed."""
        if account.id not in self.accounts:
            self.stack.launch(leg.reject())
            return
        call = self.incoming(account, leg.peer, native=leg.call_id)
        self.adopt(call, leg)
        self.call_state(call, "ringing", 180)

    def _follow(self, event: Any) -> Call | None:
        """baresip follows a REFER by itself; the leg itself is told after its first event."""
        account = self._owner(event.ua)
        if account is None:
            return None
        call = Call(self.new_id("c"), account, incoming=False, target=event.peer or "", extra={"handle": event.call})
        self.calls[call.id] = call
        self.call_state(call, "calling")
        return call

    def followed(self, leg: Any) -> None:
        """The call that a REFER led to."""
        call = self._by_handle(leg.handle)
        if call:
            self.adopt(call, leg)

    def _on_call_ringing(self, call: Call, event: Any) -> None:
        def tell() -> None:
            if call.pending and not call.incoming:
                self.call_state(call, "ringing", call.extra.get("provisional"))

        self._once("provisional" in call.extra, tell)

    _on_call_progress = _on_call_ringing

    def _on_call_established(self, call: Call, event: Any) -> None:
        if not call.extra.get("closing"):
            self.call_state(call, "established", 200)
            self._tell_media(call)

    def _on_call_menc(self, call: Call, event: Any) -> None:
        call.extra["encrypted"] = True
        if call.answered:
            self._tell_media(call)

    def _on_call_local_sdp(self, call: Call, event: Any) -> None:
        call.extra["offered"] = event.text == "offer"

    def _on_call_remote_sdp(self, call: Call, event: Any) -> None:
        if event.text == "answer" and call.extra.pop("offered", False) and (wanted := call.extra.pop("wanted", None)):
            self.call_state(call, wanted)
            self._tell_media(call)

    def _on_call_hold(self, call: Call, event: Any) -> None:
        call.extra["held"] = True
        self.call_state(call, "held")
        self._tell_media(call)

    def _on_call_resume(self, call: Call, event: Any) -> None:
        call.extra["held"] = False
        self.call_state(call, "resumed")
        self._tell_media(call)

    def _tell_media(self, call: Call) -> None:
        ours = {(False, False): "sendrecv", (True, False): "sendonly", (False, True): "recvonly", (True, True): "inactive"}
        direction = ours[bool(call.extra.get("hold")), bool(call.extra.get("held"))]
        self.tell_media(call, "inactive" if call.extra.get("peer_direction") == "inactive" else direction)

    def _on_call_dtmf_start(self, call: Call, event: Any) -> None:
        self.emit("call.dtmf", call=call.id, digit=event.text)

    def _on_call_transfer(self, call: Call, event: Any) -> None:
        self.emit("transfer", call=call.id, state="requested", target=event.text)

    def _on_call_closed(self, call: Call, event: Any) -> None:
        if event.text == "Call transfered":
            self.emit("transfer", call=call.id, state="done", code=200, target=call.extra.get("refer"))
        if call.extra.get("closing"):
            return
        code, reason = status(event.text or "")

        def tell() -> None:
            self.call_state(call, "terminated", code or call.extra.get("final"), reason)

        self._once(bool(code or call.extra.get("final")), tell)

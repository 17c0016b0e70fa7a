"""The agent of baresip 4: the library in baresip-python, asked by its public interface, and for status codes its SIP trace."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import baresip
import settings
from siplab_agent import Account, BadState, Call, Refused
from siptext import Message
from stack import Stack
from traced import TracedEvents, expect, status
from voice import Voice

TRACE_WITHIN = 0.25
"""Seconds that an event waits for the trace to say the rest: the two come in different threads."""
RETRIES, RETRY_AFTER = 20, 0.1
"""How often and after how many seconds hold and resume are asked for again while another re-INVITE is under way."""
LEAVE_WITHIN = 0.3
"""Seconds that `reset` waits for the registrar, so that bindings are gone after it."""
NO_ANSWER = 32.0
"""Seconds: Timer F of RFC 3261 §17.1.2."""


@dataclass
class Binding:
    """What baresip has for an account. It knows no way to delete a user agent, so an account may have had several."""

    agents: list[Any] = field(default_factory=list)
    expires: int = 0
    granted: int | None = None
    awaiting: str = ""
    registered: bool = False


class BindingAgent(TracedEvents):
    """One runtime; one of its user agents per account."""

    vendor = "baresip"
    capabilities = frozenset(
        {"udp", "tcp", "tls", "tls-server-name", "mtls", "ipv6", "digest-md5", "digest-sha-256", "srv", "naptr"}
        | {"ice", "stun", "turn", "outbound", "invite", "cancel", "busy", "hold", "delayed-offer-uas", "dtmf-rfc4733"}
        | {"update", "refer", "refer-replaces", "srtp-sdes", "srtp-dtls"}
    )

    # ---- the process ------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Bring the runtime up for IPv4; an IPv6 account restarts it (it listens on one address)."""
        self.family = 4
        self.stack = Stack(
            lambda event: self.post(lambda: self._on_event(event)),
            lambda message: self.post(lambda: self.on_message(message)),
            lambda: self.software_died("baresip's SIP thread ended"),
        )
        self.stack.start(self.config.element, settings.network(self.config, self.family))

    def version(self) -> str:
        """Of the binding and of the library in it."""
        return f"4.10.0 (baresip-python {baresip.__version__})"

    def stop(self) -> None:
        """Remove bindings and end the runtime."""
        if not self.dead:
            self._leave(list(self.accounts.values()))
            self.stack.close()

    def reset(self) -> None:
        """Hang up and un-register, then begin anew: a user agent cannot be deleted."""
        for call in list(self.calls.values()):
            self._end_leg(call)
        self._leave(list(self.accounts.values()))
        self._restart(4)

    def _restart(self, family: int) -> None:
        self.stack.close()
        self.family = family
        self.stack.start(self.config.element, settings.network(self.config, family))

    def _leave(self, accounts: list[Account]) -> None:
        leaving = [self.stack.launch(account.native.agents[-1].unregister()) for account in accounts if account.native.registered]
        for future in leaving:
            try:
                future.result(LEAVE_WITHIN)
            except (TimeoutError, baresip.BaresipError):
                future.cancel()

    def _end_leg(self, call: Call) -> None:
        try:
            self.stack.run(call.extra["leg"].hangup(), 1.0)
        except (BadState, Refused):
            pass  # it ended by itself

    # ---- accounts ---------------------------------------------------------------------------------------------------

    def account_add(self, account: Account) -> None:
        """A user agent that does not register yet."""
        settings.address(self.config, account.family)
        if account.family != self.family:
            if len(self.accounts) > 1:
                raise BadState(f"family: baresip listens on IPv{self.family} while it has accounts")
            self._restart(account.family)
        account.native = Binding()
        self._make(account, account.expires)

    def _make(self, account: Account, expires: int) -> None:
        agent = self.stack.agent(settings.account_line(account, expires))
        agent.on_incoming(lambda leg: self.post(lambda: self._arrived(account, leg)))
        agent.on_transfer_call(lambda leg: self.post(lambda: self._followed(leg)))
        account.native.agents.append(agent)
        account.native.expires = expires

    def account_remove(self, account: Account) -> None:
        """End its calls and its binding. What is left of it in the runtime goes with the last account."""
        for call in [call for call in self.calls.values() if call.account is account]:
            self._end_leg(call)
            self.call_state(call, "terminated", reason="account removed")
        self._leave([account])
        if len(self.accounts) == 1:
            self._restart(self.family)

    def register(self, account: Account, expires: int | None) -> None:
        """The interval is a user agent's for good: another one takes another user agent."""
        if expires and expires != account.native.expires:
            self._make(account, expires)
        account.native.awaiting = "registered"
        self.stack.launch(account.native.agents[-1].register(timeout=NO_ANSWER))
        self.after(NO_ANSWER, lambda: self._no_answer(account, "registered"))

    def unregister(self, account: Account) -> None:
        """REGISTER with expires=0."""
        if not account.native.registered:
            raise BadState(f"{account.id} is not registered")
        account.native.awaiting = "unregistered"
        self.stack.launch(account.native.agents[-1].unregister(timeout=NO_ANSWER))
        self.after(NO_ANSWER, lambda: self._no_answer(account, "unregistered"))

    def _no_answer(self, account: Account, awaited: str) -> None:
        if account.native.awaiting == awaited:
            self._registration(account, "failed", reason="no answer to the REGISTER", source="polled")

    def _registration(self, account: Account, state: str, **members: Any) -> None:
        account.native.awaiting = ""
        account.native.registered = state == "registered"
        self.registration(account, state, **members)

    # ---- calls ------------------------------------------------------------------------------------------------------

    def call_invite(self, call: Call, target: str, offer: str) -> None:
        """INVITE."""
        self._adopt(call, self.stack.run(call.account.native.agents[-1].dial(target)))

    def _adopt(self, call: Call, leg: Any) -> None:
        call.extra["leg"] = leg
        call.extra["handle"] = leg.handle
        call.extra["voice"] = Voice(leg, self.config.tone_hz)
        self.stack.launch(call.extra["voice"].run())

    def call_ring(self, call: Call) -> None:
        """baresip has sent its 180 already when it tells of a call."""
        expect(call, call.incoming and call.pending, "ring")

    def call_answer(self, call: Call) -> None:
        """200."""
        expect(call, call.incoming and call.pending, "answer")
        self.stack.run(call.extra["leg"].answer())

    def call_reject(self, call: Call, code: int, reason: str | None) -> None:
        """486: `reject` takes no other code."""
        expect(call, call.incoming and call.pending, "reject")
        call.extra["closing"] = True
        self.stack.run(call.extra["leg"].reject())
        self.call_state(call, "terminated", 486)

    def call_cancel(self, call: Call) -> None:
        """CANCEL; told as terminated when the INVITE's final answer is in."""
        expect(call, not call.incoming and call.pending, "cancel")
        self._hang_up(call)

    def call_bye(self, call: Call) -> None:
        """BYE; told as terminated when it is answered."""
        expect(call, call.answered, "end")
        self._hang_up(call)

    def _hang_up(self, call: Call) -> None:
        self.closing(call)
        self.stack.run(call.extra["leg"].hangup())

    def call_hold(self, call: Call) -> None:
        """re-INVITE sendonly."""
        expect(call, call.answered and not call.extra.get("hold"), "hold")
        call.extra.update(hold=True, wanted="held", offered=False)
        self._renegotiate(call, call.extra["leg"].hold, RETRIES)

    def call_resume(self, call: Call) -> None:
        """re-INVITE sendrecv."""
        expect(call, call.answered and bool(call.extra.get("hold")), "resume")
        call.extra.update(hold=False, wanted="resumed", offered=False)
        self._renegotiate(call, call.extra["leg"].resume, RETRIES)

    def _renegotiate(self, call: Call, ask: Callable[[], Any], left: int) -> None:
        """baresip refuses while its own or the peer's re-INVITE is under way, and says to try again."""
        try:
            self.stack.run(ask())
        except Refused:
            if not left or not call.live:
                raise
            self.after(RETRY_AFTER, lambda: self._renegotiate(call, ask, left - 1))

    def call_refer(self, call: Call, target: str, replaces: Call | None) -> None:
        """REFER, blind or with Replaces."""
        expect(call, call.answered, "refer")
        call.extra["refer"] = target
        leg = call.extra["leg"]
        work = leg.attended_transfer(replaces.extra["leg"]) if replaces else leg.transfer(target)
        self.stack.launch(work).add_done_callback(lambda future: self.post(lambda: self._referred(call, future.exception())))

    def _referred(self, call: Call, error: BaseException | None) -> None:
        if error and call.live:
            code = error.status if isinstance(error, baresip.TransferFailed) else None
            self.emit("transfer", call=call.id, state="failed", code=code, target=call.extra["refer"])

    def call_dtmf(self, call: Call, digits: str, via: str) -> None:
        """RFC 4733 digits, one after another."""
        expect(call, call.answered, "send digits")
        self.stack.launch(call.extra["leg"].send_dtmf(digits))

    # ---- media ------------------------------------------------------------------------------------------------------

    def media_play(self, call: Call, tone_hz: int) -> None:
        """Another tone; 0 is silence."""
        expect(call, call.answered, "play")
        self.stack.run(call.extra["voice"].change(tone_hz))

    def media_record(self, recording: str, path: str, call: Call, seconds: float) -> None:
        """What the decoder gives."""
        expect(call, call.answered, "record")

        def done(file: str, length: float) -> None:
            self.emit("media.recorded", call=call.id, recording=recording, file=file, seconds=round(length, 3))

        call.extra["voice"].recorder.start(path, seconds, done)

    # ---- events -----------------------------------------------------------------------------------------------------

    def _on_event(self, event: Any) -> None:
        name = event.event.name.lower()
        if name.startswith("register_"):
            account = next((each for each in self.accounts.values() if any(a.handle == event.ua for a in each.native.agents)), None)
            if account:
                self._on_registration(account, name, event.text or "")
            return
        call = next((call for call in self.calls.values() if call.extra.get("handle") == event.call), None)
        if call is None and name == "call_outgoing":
            call = self._follow(event)
        handler = getattr(self, "_on_" + name, None)
        if call and event.call_id:
            call.native = event.call_id
        if call and handler:
            handler(call, event)

    def _on_registration(self, account: Account, name: str, text: str) -> None:
        awaited = account.native.awaiting
        if not awaited:
            return  # a refresh, or another try after a failure
        code, reason = status(text)
        if name == "register_fail":
            self._registration(account, "failed", code=code, reason=reason)
        elif awaited == "unregistered":
            self._registration(account, awaited, code=code, reason=reason)
        else:
            tell = lambda: self._registration(account, awaited, code=code, reason=reason, expires=account.native.granted)  # noqa: E731
            self._once(account.native.granted is not None, tell)

    def _once(self, known: bool, tell: Callable[[], Any]) -> None:
        """Tell now, or when the trace has had its time."""
        if known:
            tell()
        else:
            self.after(TRACE_WITHIN, tell)

    def _arrived(self, account: Account, leg: Any) -> None:
        if account.id not in self.accounts:
            self.stack.launch(leg.reject())
            return
        call = self.incoming(account, leg.peer, native=leg.call_id)
        self._adopt(call, leg)
        self.call_state(call, "ringing", 180)

    def _follow(self, event: Any) -> Call | None:
        """baresip follows a REFER by itself; the leg itself is told after its first event."""
        account = next((each for each in self.accounts.values() if any(a.handle == event.ua for a in each.native.agents)), None)
        if account is None:
            return None
        call = Call(self.new_id("c"), account, incoming=False, target=event.peer or "", extra={"handle": event.call})
        self.calls[call.id] = call
        self.call_state(call, "calling")
        return call

    def _followed(self, leg: Any) -> None:
        call = next((call for call in self.calls.values() if call.extra.get("handle") == leg.handle), None)
        if call:
            self._adopt(call, leg)

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


if __name__ == "__main__":
    BindingAgent.main()

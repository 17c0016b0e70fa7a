"""The agent of baresip 4: the library in baresip-python, asked by its public interface, and for status codes its SIP trace."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import baresip
import settings
from binding_events import Binding, BindingEvents
from siplab_agent import Account, BadState, Call, Refused, expect
from stack import Stack, library_version

RETRIES, RETRY_AFTER = 20, 0.1
"""How often and after how many seconds hold and resume are asked for again while another re-INVITE is under way."""
LEAVE_WITHIN = 0.3
"""Seconds that `reset` waits for the registrar, so that bindings are gone after it."""
NO_ANSWER = 32.0
"""Seconds: Timer F of RFC 3261 §17.1.2."""


class BindingAgent(BindingEvents):
    """One runtime; one of its user agents per account."""

    vendor = "baresip"
    capabilities = frozenset(
        {"udp", "tcp", "tls", "tls-server-name", "mtls", "ipv6", "digest-md5", "digest-sha-256", "srv", "naptr"}
        | {
            "ice",
            "stun",
            "turn",
            "outbound",
            "outbound-flows",
            "q-value",
            "invite",
            "cancel",
            "busy",
            "hold",
            "delayed-offer-uas",
            "dtmf-rfc4733",
        }
        | {"update", "refer", "refer-replaces", "srtp-sdes", "srtp-dtls"}
    )

    # ---- the process ------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Bring the runtime up, for IPv4 where there is any; an account of the other family restarts it (it listens on one address)."""
        self.family = self.config.family
        self.stack = Stack(
            lambda event: self.post(lambda: self.on_event(event)),
            lambda message: self.post(lambda: self.on_message(message)),
            lambda: self.software_died("baresip's SIP thread ended"),
        )
        self.stack.start(self.config.element, settings.network(self.config, self.family))

    def version(self) -> str:
        """Of the library and of the binding."""
        return f"{library_version()} (baresip-python {baresip.__version__})"

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
        self._restart(self.config.family)

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
        with contextlib.suppress(BadState, Refused):  # it may have ended by itself
            self.stack.run(call.extra["leg"].hangup(), 1.0)

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
        """Without video: with it, a callee that is not offered any sends a re-INVITE 0.1 s after the ACK."""
        agent = self.stack.agent(settings.account_line(account, expires) + ";video_codecs=")
        agent.on_incoming(lambda leg: self.post(lambda: self.arrived(account, leg)))
        agent.on_transfer_call(lambda leg: self.post(lambda: self.followed(leg)))
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
        account.native.granted = None
        self._await(account, "registered", account.native.agents[-1].register(timeout=NO_ANSWER))

    def unregister(self, account: Account) -> None:
        """REGISTER with expires=0."""
        if not account.native.registered:
            raise BadState(f"{account.id} is not registered")
        self._await(account, "unregistered", account.native.agents[-1].unregister(timeout=NO_ANSWER))

    def _await(self, account: Account, outcome: str, work: Coroutine[Any, Any, None]) -> None:
        account.native.awaiting = outcome
        self.stack.launch(work).add_done_callback(lambda future: self.post(lambda: self._unheard(account, future.exception())))

    def _unheard(self, account: Account, error: BaseException | None) -> None:
        """No event told of it: nothing was sent, or nobody answered."""
        if error and account.native.awaiting and account.id in self.accounts and len(account.hops) == 1:
            self.tell_registration(account, "failed", reason=str(error), source="polled")

    # ---- calls ------------------------------------------------------------------------------------------------------

    def call_invite(self, call: Call, target: str, offer: str) -> None:
        """INVITE."""
        self.adopt(call, self.stack.run(call.account.native.agents[-1].dial(target)))

    def call_ring(self, call: Call) -> None:
        """baresip has sent its 180 already when it tells of a call."""
        expect(call, call.incoming and call.pending, "ring")

    def call_answer(self, call: Call) -> None:
        """200."""
        expect(call, call.incoming and call.pending, "answer")
        self.stack.run(call.extra["leg"].answer())

    def call_reject(self, call: Call, code: int, reason: str | None) -> None:
        """486: `reject` takes no other code. Told as terminated when it is sent."""
        expect(call, call.incoming and call.pending, "reject")
        self.closing(call)
        self.stack.run(call.extra["leg"].reject())

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
        call.extra["voice"].recorder.start(path, seconds, partial(self.recorded, call, recording))


if __name__ == "__main__":
    BindingAgent.main()

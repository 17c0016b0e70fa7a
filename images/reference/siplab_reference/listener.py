"""What the user agent tells, in the words of the contract."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from siplab_agent import Call, PcmRecorder, log

from lab.sip.account import Account as SipAccount
from lab.sip.call import Call as SipCall
from lab.sip.subscription import Subscription

if TYPE_CHECKING:
    from .agent import ReferenceAgent


class Reporter:
    """Turns calls of lab/sip into calls of the contract, and their events into its events."""

    def __init__(self, agent: ReferenceAgent) -> None:
        self.registered: set[str] = set()
        self._agent = agent
        self._calls: dict[SipCall, Call] = {}
        self._recorders: dict[SipCall, PcmRecorder] = {}
        self._subscriptions: dict[Subscription, str] = {}
        self._changed = asyncio.Event()

    def reset(self) -> None:
        """Forget everything."""
        self.registered.clear()
        self._calls.clear()
        self._recorders.clear()
        self._subscriptions.clear()

    def know(self, call: Call) -> None:
        """An outgoing call, before its first event."""
        self._calls[call.native] = call

    def know_subscription(self, subscription: Subscription, name: str) -> None:
        """A subscription, before its first event."""
        self._subscriptions[subscription] = name

    async def next_change(self, timeout: float) -> None:
        """Until a registration or a call changed, at most `timeout` seconds."""
        self._changed.clear()
        try:
            async with asyncio.timeout(timeout):
                await self._changed.wait()
        except TimeoutError:
            return

    def record(self, call: Call, recording: str, path: str, seconds: float) -> None:
        """Collect what is heard into a file and tell of it."""
        self._recorders.setdefault(call.native, PcmRecorder()).start(path, seconds, partial(self._agent.recorded, call, recording))

    # -- lab.sip.listener.Listener ---------------------------------------------------------------------------------------------

    def registration(
        self, account: SipAccount, state: str, code: int | None, reason: str | None, expires: int | None, flow: int | None = None
    ) -> None:
        """A REGISTER ended, or a flow failed."""
        if state != "failed" or flow is None:
            (self.registered.add if state == "registered" else self.registered.discard)(account.name)
        self._changed.set()
        known = self._agent.accounts.get(account.name)
        if known:
            self._agent.registration(known, state, code=code, reason=reason, expires=expires, flow=flow if known.proxies else None)

    def incoming(self, call: SipCall, sender: str, to: str) -> None:
        """An INVITE."""
        self._calls[call] = self._agent.incoming(self._agent.accounts[call.account.name], sender, to, native=call)

    def state(self, call: SipCall, state: str, code: int | None, reason: str | None) -> None:
        """A call's new state."""
        known = self._calls.get(call)
        if known is None:
            return
        if state == "terminated":
            self._changed.set()
            self._calls.pop(call)
            recorder = self._recorders.pop(call, None)
            if recorder:
                recorder.close()
        self._agent.call_state(known, state, code, reason)

    def released(self, call: SipCall, cause: int) -> None:
        """A cause of the telephone network: an event of our own."""
        known = self._calls.get(call)
        if known:
            self._agent.emit("call.released", call=known.id, cause=cause)

    def media(self, call: SipCall, direction: str, encryption: str, codec: str) -> None:
        """Offer and answer are complete."""
        known = self._calls.get(call)
        if known:
            self._agent.emit("call.media", call=known.id, direction=direction, encryption=encryption, codec=codec)

    def digit(self, call: SipCall, digit: str, via: str) -> None:
        """A digit."""
        known = self._calls.get(call)
        if known:
            self._agent.emit("call.dtmf", call=known.id, digit=digit, via=via)

    def heard(self, call: SipCall, pcm: bytes) -> None:
        """20 ms of audio."""
        recorder = self._recorders.get(call)
        if recorder:
            recorder.feed(pcm)

    def message(self, sender: str, body: str, content_type: str) -> None:
        """A MESSAGE."""
        self._agent.emit("message.received", **{"from": sender}, body=body, content_type=content_type)

    def transfer(self, call: SipCall, state: str, code: int | None, target: str | None) -> None:
        """Progress of a transfer."""
        known = self._calls.get(call)
        if known:
            self._agent.emit("transfer", call=known.id, state=state, code=code, target=target)

    def outgoing(self, call: SipCall, target: str) -> None:
        """A call that a transfer makes us place."""
        account = self._agent.accounts[call.account.name]
        known = Call(self._agent.new_id("c"), account, incoming=False, target=target, native=call)
        self._agent.calls[known.id] = known
        self._calls[call] = known

    def updated(self, call: SipCall, code: int) -> None:
        """An UPDATE was answered: an event of our own."""
        known = self._calls.get(call)
        if known:
            self._agent.emit("call.updated", call=known.id, code=code)

    def notified(self, subscription: Subscription, state: str, content_type: str | None, body: str | None) -> None:
        """A NOTIFY."""
        known = self._subscriptions.get(subscription)
        if known:
            self._agent.emit("notify", subscription=known, state=state, content_type=content_type, body=body)
        if state == "terminated":
            self._subscriptions.pop(subscription, None)

    def trouble(self, what: str) -> None:
        """For the log."""
        log(what)

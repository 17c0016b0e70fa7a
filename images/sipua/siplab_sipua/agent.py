"""The agent: handlers of the contract, all on the event loop's thread."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from siplab_agent import Account, AsyncAgent, BadParams, BadState, Call, log
from sipmessage import URI, Address

from lab.sip.digest import Credentials

from .subscriber import Subscriber, granted

if TYPE_CHECKING:
    from .leg import Leg

CAPABILITIES = frozenset(
    {"udp", "tcp", "digest-md5", "digest-sha-256", "invite", "cancel", "busy", "reject-any", "redirect", "message", "srtp-dtls", "ice"}
)
GOODBYE = 1.0
"""Seconds for bindings and calls to be taken back at the end."""


class SipuaAgent(AsyncAgent):
    """An application on sipua, as a vendor."""

    vendor = "sipua"
    capabilities = CAPABILITIES

    def start(self) -> None:
        """Open the sockets. sipua and aiortc log what they do, each message among it."""
        logging.basicConfig(level=self.config.log_level.upper(), format="%(name)s: %(message)s")
        self.phone = self._new_phone()
        self._ready: asyncio.Future[Any] = self.aio.create_task(self.phone.open())
        self.aio.run_until_complete(self._ready)

    def _new_phone(self) -> Any:
        from .phone import Phone  # loads sipua and FFmpeg, which the tests of this file do without

        return Phone(self.config.ipv4, self, self.config.tone_hz)

    def version(self) -> str:
        """Of the library."""
        return version("sipua")

    def stop(self) -> None:
        """Hang up and take bindings back, as far as a second allows; then close everything."""
        self.aio.run_until_complete(self._leave())

    async def _leave(self) -> None:
        work = [call.native.leave() for call in self.calls.values() if call.answered]
        work += [self.phone.register(known, 0) for known in self.phone.subscribers if known.registered]
        if work:
            await asyncio.wait([asyncio.ensure_future(each) for each in work], timeout=GOODBYE)
        await self.phone.close()

    def reset(self) -> None:
        """A new phone: sipua's transactions cannot be taken back, so the old one loses its sockets."""
        old, self.phone = self.phone, self._new_phone()
        self._ready = self.launch(self._replace(self._ready, old, self.phone))

    async def _replace(self, before: asyncio.Future[Any], old: Any, new: Any) -> None:
        await before
        await old.close()
        await new.open()

    def _soon(self, work: Coroutine[Any, Any, None]) -> None:
        async def when_ready() -> None:
            await self._ready
            await work

        self.launch(when_ready())

    # -- accounts --------------------------------------------------------------------------------------------------------------

    def account_add(self, account: Account) -> None:
        """Remember it; nothing is sent."""
        aor, proxy = _uri("account.add: aor", account.aor), _uri("account.add: proxy", account.proxy)
        credentials = Credentials(account.username, account.password)
        account.native = Subscriber(aor, credentials, proxy, account.transport, account.media)
        self.phone.subscribers.append(account.native)

    def account_remove(self, account: Account) -> None:
        """Forget it; its calls end."""
        self._soon(self._remove(account.native, [call.native for call in self.calls.values() if call.account is account]))

    async def _remove(self, subscriber: Subscriber, legs: list[Leg]) -> None:
        subscriber.removed = True
        await asyncio.gather(*(leg.end() for leg in legs))
        self.phone.subscribers.remove(subscriber)

    def register(self, account: Account, expires: int | None) -> None:
        """REGISTER."""
        self._soon(self._register(account, expires or account.expires))

    def unregister(self, account: Account) -> None:
        """REGISTER with Expires 0."""
        self._soon(self._register(account, 0))

    async def _register(self, account: Account, expires: int) -> None:
        try:
            response = await self.phone.register(account.native, expires)
        except Exception as error:
            self.registration(account, "failed", reason=f"{type(error).__name__}: {error}")
            return
        if response.code != 200:
            self.registration(account, "failed", code=response.code, reason=response.phrase)
        elif expires:
            self.registration(account, "registered", code=200, reason=response.phrase, expires=granted(response, self.config.ipv4 or ""))
        else:
            self.registration(account, "unregistered", code=200, reason=response.phrase)

    # -- calls -----------------------------------------------------------------------------------------------------------------

    def call_invite(self, call: Call, target: str, offer: str) -> None:
        """INVITE."""
        self._follow(call, self.phone.call(call.account.native, _uri("call.invite: target", target)))
        self._soon(call.native.place())

    def invited(self, leg: Leg, sender: str, to: str) -> None:
        """An INVITE came."""
        account = next(known for known in self.accounts.values() if known.native is leg.subscriber)
        self._follow(self.incoming(account, sender, to), leg)

    def _follow(self, call: Call, leg: Leg) -> None:
        call.native = leg

        def tell(state: str, code: int | None, reason: str) -> None:
            if state == "established":
                encryption = "dtls" if call.account.media == "dtls" else "none"
                self.emit("call.media", call=call.id, direction="sendrecv", encryption=encryption, codec="PCMU")
            self.call_state(call, state, code, reason)

        leg.tell = tell

    def call_ring(self, call: Call) -> None:
        """180."""
        self._soon(self._invited(call).ring())

    def call_answer(self, call: Call) -> None:
        """200."""
        self._soon(self._invited(call).answer())

    def call_reject(self, call: Call, code: int, reason: str | None) -> None:
        """A refusal of the caller's choice."""
        self._soon(self._invited(call).refuse(code, reason))

    def call_redirect(self, call: Call, contact: str) -> None:
        """302 with that Contact."""
        address = Address(uri=_uri("call.redirect: contact", contact))
        self._soon(self._invited(call).refuse(302, None, address))

    def _invited(self, call: Call) -> Any:
        if not (call.incoming and call.pending):
            raise BadState(f"{call.id} is {call.state}: only an incoming call that is not answered can be responded to")
        return call.native

    def call_cancel(self, call: Call) -> None:
        """CANCEL."""
        if call.incoming or not call.pending:
            raise BadState(f"{call.id} is {call.state}: only an outgoing call that is not answered can be cancelled")
        self._soon(call.native.cancel())

    def call_bye(self, call: Call) -> None:
        """BYE."""
        self._soon(self._established(call).leave())

    def media_play(self, call: Call, tone_hz: int) -> None:
        """Another tone."""
        call.native.tone.hz = tone_hz

    def media_record(self, recording: str, path: str, call: Call, seconds: float) -> None:
        """What is heard from now on."""
        self._established(call).recorder.start(path, seconds, partial(self.recorded, call, recording))

    def _established(self, call: Call) -> Any:
        if not call.answered:
            raise BadState(f"{call.id} is {call.state}, not established")
        return call.native

    # -- messages --------------------------------------------------------------------------------------------------------------

    def message_send(self, message: str, account: Account, target: str, body: str, content_type: str) -> None:
        """MESSAGE."""
        self._soon(self._message(message, account, _uri("message.send: target", target), body, content_type))

    async def _message(self, message: str, account: Account, target: URI, body: str, content_type: str) -> None:
        try:
            response = await self.phone.message(account.native, target, body, content_type)
        except Exception as error:
            log(f"MESSAGE: {type(error).__name__}: {error}")
            self.emit("message.status", message=message, ok=False)
            return
        self.emit("message.status", message=message, code=response.code, ok=response.code // 100 == 2)

    def message(self, sender: str, body: str, content_type: str | None) -> None:
        """A MESSAGE came."""
        self.emit("message.received", **{"from": sender}, body=body, content_type=content_type)


def _uri(where: str, text: str) -> URI:
    try:
        return URI.parse(text)
    except ValueError as error:
        raise BadParams(f"{where}: {error}") from error

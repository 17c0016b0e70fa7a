"""The agent: handlers of the contract, all on the event loop's thread."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from siplab_agent import Account, AsyncAgent, BadParams, BadState, Call, log
from sipmessage import URI

from lab.sip.account import Account as SipAccount
from lab.sip.digest import Credentials
from lab.sip.fault import SipError
from lab.sip.tls import TlsFiles
from lab.sip.user_agent import Settings, UserAgent

from .extensions import Extensions
from .listener import Reporter

VERSION = "1"
CAPABILITIES = frozenset(
    {
        *("udp", "tcp", "tls", "tls-server-name", "mtls", "sips", "ipv6", "digest-md5", "digest-sha-256", "srv", "naptr"),
        *("invite", "cancel", "busy", "reject-any", "redirect", "hold", "delayed-offer", "delayed-offer-uas"),
        *("prack", "update", "session-timer", "mwi", "srtp-sdes", "srtp-dtls", "dtmf-rfc4733", "dtmf-info", "dtmf-inband", "message"),
        *("refer", "refer-replaces", "q-value", "raw", "outbound", "outbound-flows"),
    }
)
GOODBYE = 1.0
"""Seconds for bindings and calls to be taken back at the end."""


class ReferenceAgent(AsyncAgent):
    """siplab's own user agent as a vendor."""

    vendor = "reference"
    capabilities = CAPABILITIES
    reporter_type = Reporter

    def start(self) -> None:
        """Open the sockets."""
        self.aio.run_until_complete(self._open())

    async def _open(self) -> None:
        config = self.config
        files = TlsFiles(config.ca, config.certificate, config.key, config.keylog)
        hosts = tuple(address for address in (config.ipv4, config.ipv6) if address)
        settings = Settings(hosts, config.dns, config.rtp_ports, config.tone_hz, files)
        self.reporter = self.reporter_type(self)
        self.extensions = Extensions(self)
        self.ua = self.make(settings)
        await self.ua.start()

    def make(self, settings: Settings) -> UserAgent:
        """The user agent that it drives."""
        return UserAgent(settings, self.reporter)

    def version(self) -> str:
        """Ours."""
        return VERSION

    def stop(self) -> None:
        """Take bindings back and hang up, as far as a second allows; then close everything."""
        self.aio.run_until_complete(self._leave())

    async def _leave(self) -> None:
        for call in list(self.ua.calls):
            call.hang_up()
        for account in self.ua.accounts:
            if account.name in self.reporter.registered:
                self.ua.register(account, 0)
        deadline = self.aio.time() + GOODBYE
        while (self.ua.calls or self.reporter.registered) and self.aio.time() < deadline:
            await self.reporter.next_change(deadline - self.aio.time())
        await self.ua.close()

    def reset(self) -> None:
        """Everything off, at once."""
        self.ua.reset()
        self.reporter.reset()
        self.extensions.reset()

    # -- accounts --------------------------------------------------------------------------------------------------------------

    def account_add(self, account: Account) -> None:
        """Remember it; nothing is sent."""
        try:
            aor, proxy = URI.parse(account.aor), URI.parse(account.proxy)
        except ValueError as error:
            raise BadParams(f"account.add: aor or proxy: {error}") from error
        if aor.scheme == "sips" and account.transport != "tls":
            raise BadParams(f"account.add: transport must be tls for a sips: address of record, not {account.transport}")
        host = self.config.ipv6 if account.family == 6 else self.config.ipv4
        if not host:
            raise BadParams(f"account.add: family {account.family}: this element has no IPv{account.family} address")
        account.native = SipAccount(
            name=account.id,
            aor=aor,
            credentials=Credentials(account.username, account.password),
            proxy=proxy,
            transport=account.transport,
            media=account.media,
            host=host,
            preference=account.q,
            flows=tuple(_uri("account.add: proxies", hop) for hop in account.hops) if account.outbound else (),
            instance=uuid.uuid5(uuid.NAMESPACE_DNS, self.config.element).urn,
            **self.extensions.account,
        )
        self.ua.accounts.insert(0, account.native)

    def account_remove(self, account: Account) -> None:
        """Forget it; its calls end."""
        for call in [call for call in self.calls.values() if call.account is account]:
            call.native.hang_up()
        self.ua.drop(account.native)
        self.reporter.registered.discard(account.id)

    def register(self, account: Account, expires: int | None) -> None:
        """REGISTER."""
        self.ua.register(account.native, expires or account.expires)

    def unregister(self, account: Account) -> None:
        """REGISTER with Expires 0."""
        self.ua.register(account.native, 0)

    # -- calls -----------------------------------------------------------------------------------------------------------------

    def call_invite(self, call: Call, target: str, offer: str) -> None:
        """INVITE."""
        call.native = self.ua.call(call.account.native, _uri("call.invite: target", target))
        self.reporter.know(call)
        call.native.place(_uri("call.invite: target", target), delayed=offer == "delayed")

    def call_ring(self, call: Call) -> None:
        """180."""
        self._respond(call, 180)

    def call_answer(self, call: Call) -> None:
        """200."""
        self._respond(call, 200)

    def call_reject(self, call: Call, code: int, reason: str | None) -> None:
        """A refusal of the caller's choice."""
        self._respond(call, code, reason)

    def call_redirect(self, call: Call, contact: str) -> None:
        """302 with that Contact."""
        _uri("call.redirect: contact", contact)
        self._respond(call, 302, None, contact)

    def _respond(self, call: Call, code: int, *more: str | None) -> None:
        if not (call.incoming and call.pending):
            raise BadState(f"{call.id} is {call.state}: only an incoming call that is not answered can be responded to")
        call.native.respond(code, *more)

    def call_cancel(self, call: Call) -> None:
        """CANCEL."""
        if call.incoming or not call.pending:
            raise BadState(f"{call.id} is {call.state}: only an outgoing call that is not answered can be cancelled")
        call.native.cancel()

    def call_bye(self, call: Call) -> None:
        """BYE."""
        self._established(call).hang_up()

    def call_hold(self, call: Call) -> None:
        """re-INVITE with sendonly."""
        self._established(call).hold(True)

    def call_resume(self, call: Call) -> None:
        """re-INVITE with sendrecv."""
        self._established(call).hold(False)

    def call_refer(self, call: Call, target: str, replaces: Call | None) -> None:
        """REFER."""
        self._established(call).refer(_uri("call.refer: target", target), replaces.native if replaces else None)

    def call_dtmf(self, call: Call, digits: str, via: str) -> None:
        """Digits."""
        self._established(call).press(digits, via)

    def media_play(self, call: Call, tone_hz: int) -> None:
        """Another tone."""
        call.native.stream.hz = tone_hz

    def media_record(self, recording: str, path: str, call: Call, seconds: float) -> None:
        """What is heard from now on."""
        self._established(call)
        self.reporter.record(call, recording, path, seconds)

    def _established(self, call: Call) -> Any:
        if not call.answered:
            raise BadState(f"{call.id} is {call.state}, not established")
        return call.native

    # -- others ----------------------------------------------------------------------------------------------------------------

    def message_send(self, message: str, account: Account, target: str, body: str, content_type: str) -> None:
        """MESSAGE."""
        self.ua.spawn(self._message(message, account, _uri("message.send: target", target), body, content_type))

    async def _message(self, message: str, account: Account, target: URI, body: str, content_type: str) -> None:
        try:
            response = await self.ua.message(account.native, target, body, content_type)
        except SipError as error:
            log(str(error))
            self.emit("message.status", message=message, ok=False)
            return
        self.emit("message.status", message=message, code=response.code, ok=response.code // 100 == 2)

    def subscribe(self, subscription: str, account: Account, target: str, package: str, expires: int) -> None:
        """SUBSCRIBE."""
        native = self.ua.subscribe(account.native, _uri("subscribe: target", target), package, expires)
        self.reporter.know_subscription(native, subscription)
        native.start()

    async def _dispatch(self, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """The contract's methods, and those of our own."""
        if method == "account.add":
            self.extensions.read_account(params)
        own = self.extensions.methods.get(method)
        return own(params) if own else await super()._dispatch(method, params)

    def stats(self, call: Call | None) -> dict[str, Any]:
        """Packets of one call."""
        return {"rx_packets": call.native.stream.received, "tx_packets": call.native.stream.sent} if call else {}


def _uri(where: str, text: str) -> URI:
    try:
        return URI.parse(text)
    except ValueError as error:
        raise BadParams(f"{where}: {error}") from error

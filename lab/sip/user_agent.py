"""The user agent: its accounts, its calls, and where requests of others go (RFC 3261 §8, §10)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from sipmessage import URI, Address, CSeq, Parameters, Request, Response

from .account import Account
from .call import Call
from .dialog import Dialog
from .dispatch import Dispatch
from .dtls import Identity
from .exchange import Exchange
from .fault import MessageError, SipError, TransportError
from .flow import Flow
from .listener import Listener
from .message import new_tag, parse, set_body, with_tag
from .misbehaviour import Misbehaviours
from .mwi import Mailbox
from .outbound import Flows
from .raw_channel import RawChannel
from .reception import Reception
from .resolve import Resolver, families
from .responder import refusal
from .subscription import MailboxSubscription, Subscription, Usage
from .tls import TlsFiles
from .transports import Transports


@dataclass(frozen=True)
class Settings:
    """What a user agent has of its own."""

    hosts: tuple[str, ...]
    """At most one address of each family."""
    name_servers: tuple[str, ...]
    rtp_ports: tuple[int, int]
    tone_hz: int
    tls: TlsFiles


class UserAgent:
    """One user agent on one address. Everything runs on the event loop; outcomes go to the listener."""

    def __init__(self, settings: Settings, listener: Listener) -> None:
        self.settings, self.listener = settings, listener
        self.identity = Identity(settings.tls.keylog)
        self.wrong = Misbehaviours()
        self.accounts: list[Account] = []
        self.calls: list[Call] = []
        self.subscriptions: list[Usage] = []
        self.transports = Transports(settings.hosts, settings.tls, self._received, listener.trouble)
        self.reception = Reception(self)
        self.exchange = Exchange(asyncio.get_running_loop(), self.reception.requested, self.reception.acknowledged)
        self.resolver = Resolver(settings.name_servers)
        self.dispatch = Dispatch(self.transports, self.exchange, self.resolver, self.wrong)
        self._tasks: set[asyncio.Task[None]] = set()
        self._registrations: dict[str, tuple[str, int]] = {}
        self._flows: dict[str, Flows] = {}
        self._mailboxes: dict[str, Mailbox] = {}

    async def start(self) -> None:
        """Open the listeners."""
        await self.transports.listen()

    async def close(self) -> None:
        """Stop, without a word to anybody."""
        self.reset()
        await self.transports.close()

    def reset(self) -> None:
        """As after the start: no accounts, calls, transactions, connections or misbehaviours."""
        for task in list(self._tasks):
            task.cancel()
        for call in list(self.calls):
            call.tell("terminated", reason="reset")
        for subscription in list(self.subscriptions):
            subscription.close()
        self.exchange.clear()
        self.accounts.clear()
        self._registrations.clear()
        self._flows.clear()
        self._mailboxes.clear()
        self.wrong.clear()
        self.transports.verify = True
        self.transports.drop_connections()

    def misbehave(self, name: str) -> None:
        """Be wrong from now on; KeyError for a name that does not exist."""
        self.wrong.add(name)
        self.transports.verify = "accept-any-certificate" not in self.wrong

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run it in the background; `reset` ends it."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception():
            self.listener.trouble(f"{type(task.exception()).__name__}: {task.exception()}")

    def forget(self, call: Call) -> None:
        """A call is over."""
        if call in self.calls:
            self.calls.remove(call)

    def release(self, subscription: Usage) -> None:
        """A subscription is over."""
        if subscription in self.subscriptions:
            self.subscriptions.remove(subscription)

    # -- what we start ---------------------------------------------------------------------------------------------------------

    def register(self, account: Account, expires: int) -> None:
        """REGISTER (RFC 3261 §10.2), where the account uses flows through each of its proxies (RFC 5626 §4.2); 0 takes the binding back."""
        if account.flows:
            self._flows.setdefault(account.name, Flows(self, account)).register(expires)
        else:
            self.spawn(self._register(account, expires))

    def drop(self, account: Account) -> None:
        """Forget an account, and the flows that it keeps."""
        self.accounts.remove(account)
        if flows := self._flows.pop(account.name, None):
            flows.let_go()

    async def _register(self, account: Account, expires: int) -> None:
        call_id, sequence = self._registrations.get(account.name, (new_tag() + new_tag(), 0))
        self._registrations[account.name] = (call_id, sequence + 1)
        request = self.out_of_dialog("REGISTER", account, URI(scheme=account.aor.scheme, host=account.aor.host), account.aor)
        request.call_id, request.cseq = call_id, CSeq(sequence=sequence + 1, method="REGISTER")
        request.route = []
        request.contact = [account.binding(expires)]
        request.expires = expires
        try:
            response = await self.dispatch.submit(request, account, account.hop)
        except SipError as error:
            self.listener.registration(account, "failed", None, str(error), None)
            return
        finally:
            self._numbered(account, call_id, request.cseq.sequence)
        if response.code >= 300:
            self.listener.registration(account, "failed", response.code, response.phrase, None)
        elif expires == 0:
            self.listener.registration(account, "unregistered", response.code, response.phrase, None)
        else:
            self.listener.registration(account, "registered", response.code, response.phrase, _granted(response, account, expires))

    def _numbered(self, account: Account, call_id: str, sequence: int) -> None:
        """Every REGISTER has a higher number than those before it, whatever became of them (RFC 3261 §10.2)."""
        known, last = self._registrations.get(account.name, ("", 0))
        if known == call_id:
            self._registrations[account.name] = (call_id, max(last, sequence))

    def out_of_dialog(self, method: str, account: Account, uri: URI, to: URI) -> Request:
        """A request outside a dialog, by way of the account's proxy (RFC 3261 §8.1.1)."""
        request = Request(method=method, uri=uri)
        request.max_forwards = 70
        request.route = [account.route]
        request.from_address = Address(uri=account.aor, parameters=Parameters(tag=new_tag()))
        request.to_address = Address(uri=to)
        request.call_id = f"{new_tag()}{new_tag()}"
        request.cseq = CSeq(sequence=1, method=method)
        return request

    def call(self, account: Account, target: URI) -> Call:
        """A new outgoing call; `place` sends its INVITE."""
        dialog = Dialog(new_tag() + new_tag(), with_tag(account.caller, new_tag()), Address(uri=target), target, account.calling)
        call = Call(self, account, dialog)
        self.calls.append(call)
        return call

    async def message(self, account: Account, target: URI, body: str, content_type: str) -> Response:
        """MESSAGE (RFC 3428); the final response. SipError where there was none."""
        request = self.out_of_dialog("MESSAGE", account, target, target)
        set_body(request, content_type, body.encode())
        return await self.dispatch.submit(request, account, account.hop)

    def subscribe(self, account: Account, target: URI, package: str, expires: int) -> Subscription:
        """A new subscription (RFC 6665); `start` sends its SUBSCRIBE."""
        subscription = Subscription(self, account, target, package, expires)
        self.subscriptions.append(subscription)
        return subscription

    def raw(self, target: URI, received: Callable[[bytes], None], closed: Callable[[str], None]) -> RawChannel:
        """A channel for bytes of any kind to `target`, a URI with host, port and transport. TransportError where none can be opened."""
        ours = {6 if ":" in host else 4: host for host in self.settings.hosts}
        family = next((family for family in families(target.host) if family in ours), 0)
        if not family:
            raise TransportError(f"{target}: we have no IPv{families(target.host)[0]} address")
        channel = RawChannel(ours[family], (target.parameters.get("transport") or "udp").lower(), received, closed)

        async def run() -> None:
            try:
                hops = await self.resolver.hops(target, family)
            except TransportError as error:
                channel.close(str(error))
            else:
                await channel.run(hops[0], self.settings.tls, verify=self.transports.verify)

        self.spawn(run()).add_done_callback(lambda _: channel.close("ended"))
        return channel

    def mailbox(self, account: Account) -> Mailbox:
        """What waits for an account."""
        return self._mailboxes.get(account.name, Mailbox())

    def fill(self, account: Account, mailbox: Mailbox) -> None:
        """Change what waits for an account, and tell whoever subscribed to it (RFC 3842)."""
        self._mailboxes[account.name] = mailbox
        for subscription in list(self.subscriptions):
            if isinstance(subscription, MailboxSubscription) and subscription.account is account:
                subscription.notify()

    def account_for(self, user: str | None) -> Account | None:
        """Whose a request to this user is; None where nobody has that name here."""
        return next((account for account in self.accounts if account.aor.user == user), None)

    # -- what others start -----------------------------------------------------------------------------------------------------

    def _received(self, data: bytes, flow: Flow) -> None:
        try:
            message = parse(data)
        except MessageError as error:
            self.listener.trouble(f"{flow.transport} {flow.peer[0]}:{flow.peer[1]}: {error}")
            answer = None if "never-answer" in self.wrong else refusal(data)
            if answer:
                flow.send(answer)
            return
        if isinstance(message, Request):
            if "never-answer" in self.wrong:
                return
            _mark_via(message, flow)
        elif len(message.via) > 1:
            self.listener.trouble(f"{flow.transport} {flow.peer[0]}:{flow.peer[1]}: a response for somebody else (RFC 3261 §8.1.3.3)")
            return
        self.exchange.receive(message, flow)


def _mark_via(request: Request, flow: Flow) -> None:
    """`received` and `rport` of the topmost Via (RFC 3261 §18.2.1, RFC 3581 §4)."""
    top, *rest = request.via
    added = {"received": flow.peer[0]} if top.host.strip("[]") != flow.peer[0] or "rport" in top.parameters else {}
    if "rport" in top.parameters:
        added["rport"] = str(flow.peer[1])
    if added:
        marked = type(top)(transport=top.transport, host=top.host, port=top.port, parameters=top.parameters.replace(**added))
        request.via = [marked, *rest]


def _granted(response: Response, account: Account, asked: int) -> int:
    """How long the registrar keeps our binding: its own Contact in the 200 (RFC 3261 §10.2.4), else Expires."""
    for contact in response.contact:
        if (
            contact.uri.host == account.contact.uri.host
            and contact.uri.user == account.aor.user
            and (contact.parameters.get("expires") or "").isdigit()
        ):
            return int(contact.parameters["expires"] or 0)
    return response.expires if response.expires is not None else asked

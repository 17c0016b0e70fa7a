"""The user agent: its accounts, its calls, and where requests of others go (RFC 3261 §8, §10)."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from sipmessage import URI, Address, CSeq, Parameters, Request, Response

from .account import Account
from .call import Call
from .dialog import Dialog
from .dispatch import Dispatch
from .dtls import Identity
from .exchange import Exchange, ServerTransaction
from .fault import MessageError, SdpError, SipError
from .flow import Flow
from .listener import Listener
from .message import ALLOW, bare, new_tag, parse, respond, set_body, tag_of
from .misbehaviour import Misbehaviours
from .resolve import Resolver
from .tls import TlsFiles
from .transfer import Replaces
from .transports import Transports

SUPPORTED = {"replaces"}
"""Option tags that a request may require (RFC 3261 §8.2.2.3)."""


@dataclass(frozen=True)
class Settings:
    """What a user agent has of its own."""

    host: str
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
        self.transports = Transports(settings.host, settings.tls, self._received, listener.trouble)
        self.exchange = Exchange(asyncio.get_running_loop(), self._request, self._ack)
        self.dispatch = Dispatch(self.transports, self.exchange, Resolver(settings.name_servers), self.wrong)
        self._tasks: set[asyncio.Task[None]] = set()
        self._registrations: dict[str, tuple[str, int]] = {}

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
        self.exchange.clear()
        self.accounts.clear()
        self._registrations.clear()
        self.wrong.clear()
        self.transports.verify = True
        self.transports.drop_connections()

    def misbehave(self, name: str) -> None:
        """Be wrong from now on; KeyError for a name that does not exist."""
        self.wrong.add(name)
        self.transports.verify = "accept-any-certificate" not in self.wrong

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run it in the background; `reset` ends it."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception():
            self.listener.trouble(f"{type(task.exception()).__name__}: {task.exception()}")

    def forget(self, call: Call) -> None:
        """A call is over."""
        if call in self.calls:
            self.calls.remove(call)

    # -- what we start ---------------------------------------------------------------------------------------------------------

    def register(self, account: Account, expires: int) -> None:
        """REGISTER (RFC 3261 §10.2); 0 takes the binding back."""
        self.spawn(self._register(account, expires))

    async def _register(self, account: Account, expires: int) -> None:
        call_id, sequence = self._registrations.get(account.name, (new_tag() + new_tag(), 0))
        request = self.out_of_dialog("REGISTER", account, URI(scheme=account.aor.scheme, host=account.aor.host), account.aor)
        request.call_id, request.cseq = call_id, CSeq(sequence=sequence + 1, method="REGISTER")
        request.route = []
        request.contact = [Address(uri=account.contact.uri, parameters=Parameters(expires=str(expires)))]
        request.expires = expires
        try:
            response = await self.dispatch.submit(request, account, account.proxy)
        except SipError as error:
            self.listener.registration(account, "failed", None, str(error), None)
            return
        self._registrations[account.name] = (call_id, request.cseq.sequence)
        if response.code >= 300:
            self.listener.registration(account, "failed", response.code, response.phrase, None)
        elif expires == 0:
            self.listener.registration(account, "unregistered", response.code, response.phrase, None)
        else:
            self.listener.registration(account, "registered", response.code, response.phrase, _granted(response, account, expires))

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
        local = Address(uri=account.aor, parameters=Parameters(tag=new_tag()))
        dialog = Dialog(new_tag() + new_tag(), local, Address(uri=target), target, account.contact)
        call = Call(self, account, dialog)
        self.calls.append(call)
        return call

    async def message(self, account: Account, target: URI, body: str, content_type: str) -> Response:
        """MESSAGE (RFC 3428); the final response. SipError where there was none."""
        request = self.out_of_dialog("MESSAGE", account, target, target)
        set_body(request, content_type, body.encode())
        return await self.dispatch.submit(request, account, account.proxy)

    # -- what others start -----------------------------------------------------------------------------------------------------

    def _received(self, data: bytes, flow: Flow) -> None:
        if "never-answer" in self.wrong:
            return
        try:
            message = parse(data)
        except MessageError as error:
            self.listener.trouble(f"{flow.transport} {flow.peer[0]}:{flow.peer[1]}: {error}")
            return
        if isinstance(message, Request):
            _mark_via(message, flow)
        self.exchange.receive(message, flow)

    def _ack(self, request: Request) -> None:
        for call in self.calls:
            if call.dialog.matches(request):
                call.acknowledged(request)
                return

    def _request(self, transaction: ServerTransaction, request: Request) -> None:
        if request.method == "CANCEL":
            self._cancel(transaction, request)
        elif tag_of(request.to_address):
            self._in_dialog(transaction, request)
        elif request.method in ("INVITE", "MESSAGE", "OPTIONS"):
            self._new(transaction, request)
        else:
            response = respond(request, 405, tag=new_tag())
            response.headers.set("Allow", ALLOW)
            transaction.respond(response)

    def _cancel(self, transaction: ServerTransaction, request: Request) -> None:
        invite = self.exchange.invite_of(request)
        transaction.respond(respond(request, 200 if invite else 481, tag=new_tag()))
        for call in list(self.calls):
            if invite and call.invite is invite:
                call.cancelled()

    def _in_dialog(self, transaction: ServerTransaction, request: Request) -> None:
        for call in list(self.calls):
            if call.dialog.matches(request):
                call.receive(transaction, request)
                return
        transaction.respond(respond(request, 481))

    def _new(self, transaction: ServerTransaction, request: Request) -> None:
        account = next((known for known in self.accounts if known.aor.user == request.uri.user), None)
        if request.method == "OPTIONS":
            response = respond(request, 200, tag=new_tag())
            response.headers.set("Allow", ALLOW)
            transaction.respond(response)
        elif account is None:
            transaction.respond(respond(request, 404, tag=new_tag()))
        elif set(request.require) - SUPPORTED:
            response = respond(request, 420, "Bad Extension", tag=new_tag())
            response.headers.set("Unsupported", ", ".join(sorted(set(request.require) - SUPPORTED)))
            transaction.respond(response)
        elif request.method == "MESSAGE":
            transaction.respond(respond(request, 200, tag=new_tag()))
            content_type = (request.headers.get("Content-Type") or "text/plain").split(";")[0]
            self.listener.message(bare(request.from_address.uri), request.body.decode(errors="replace"), content_type)
        else:
            self._invited(transaction, request, account)

    def _invited(self, transaction: ServerTransaction, request: Request, account: Account) -> None:
        """A new call, unless our media policy forbids its offer: then 488 at once (RFC 3264 §6, RFC 4568 §7.1.2)."""
        transaction.respond(respond(request, 100))
        call = Call(self, account, Dialog.of_incoming(request, account.contact))
        call.invite = transaction
        try:
            if request.body:
                call.negotiation.check_offer(request.body)
        except SdpError as error:
            self.listener.trouble(f"INVITE refused: {error}")
            call.stream.close()
            transaction.respond(respond(request, 488, tag=tag_of(call.dialog.local)))
            return
        replaced = self._replaced(request)
        if request.headers.get("Replaces") and replaced is None:
            call.stream.close()
            transaction.respond(respond(request, 481, tag=tag_of(call.dialog.local)))
            return
        call.state = "incoming"
        self.calls.append(call)
        self.listener.incoming(call, bare(request.from_address.uri), bare(request.to_address.uri))
        if replaced:
            call.respond(200)
            replaced.hang_up()

    def _replaced(self, request: Request) -> Call | None:
        """The call whose place an INVITE takes (RFC 3891 §3): it is answered at once and that one ended."""
        text = request.headers.get("Replaces")
        try:
            wanted = Replaces.parse(text) if text else None
        except MessageError as error:
            self.listener.trouble(str(error))
            return None
        return next((call for call in self.calls if wanted and wanted.names(call.dialog)), None)


def _mark_via(request: Request, flow: Flow) -> None:
    """`received` and `rport` of the topmost Via (RFC 3261 §18.2.1, RFC 3581 §4)."""
    top, *rest = request.via
    added = {"received": flow.peer[0]} if top.host != flow.peer[0] or "rport" in top.parameters else {}
    if "rport" in top.parameters:
        added["rport"] = str(flow.peer[1])
    if added:
        marked = type(top)(transport=top.transport, host=top.host, port=top.port, parameters=top.parameters.replace(**added))
        request.via = [marked, *rest]


def _granted(response: Response, account: Account, asked: int) -> int:
    """How long the registrar keeps our binding: its own Contact in the 200 (RFC 3261 §10.2.4), else Expires."""
    for contact in response.contact:
        if (
            contact.uri.host == account.host
            and contact.uri.user == account.aor.user
            and (contact.parameters.get("expires") or "").isdigit()
        ):
            return int(contact.parameters["expires"] or 0)
    return response.expires if response.expires is not None else asked

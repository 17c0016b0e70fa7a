"""Transactions at work: matching (RFC 3261 §17.1.3, §17.2.3), timers on a clock, messages on a flow."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from sipmessage import CSeq, Request, Response

from .flow import Flow
from .message import COOKIE, branch_of, new_tag, respond, serialize, tag_of
from .timers import STANDARD, Timing
from .transaction import Action, End, InviteClient, InviteServer, Pass, RequestClient, RequestServer, Send, Start, Stop, TimedOut

Key = tuple[str, ...]
MAX_SERVERS = 4000
"""Requests of others at work, most of them answered and kept for 64*T1: more than a lab asks, less than what fills the memory."""


class Clock(Protocol):
    """What of an event loop is needed; tests bring their own."""

    def call_later(self, delay: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
        """Run `callback` in `delay` seconds."""


class _Running:
    """What client and server share: actions become sends and timers."""

    def __init__(self, table: Exchange, key: Key, flow: Flow) -> None:
        self.table, self.key, self.flow = table, key, flow
        self._timers: dict[str, asyncio.TimerHandle] = {}

    def apply(self, actions: Sequence[Action], passed: Callable[[], None]) -> None:
        for action in actions:
            if isinstance(action, Send):
                self.transmit(action.what)
            elif isinstance(action, Pass):
                passed()
            elif isinstance(action, Start):
                self._stop(action.timer)
                self._timers[action.timer] = self.table.clock.call_later(action.seconds, lambda name=action.timer: self.fired(name))  # type: ignore[misc]
            elif isinstance(action, Stop):
                self._stop(action.timer)
            elif isinstance(action, TimedOut):
                self.timed_out()
            elif isinstance(action, End):
                self.end()

    def _stop(self, name: str) -> None:
        handle = self._timers.pop(name, None)
        if handle:
            handle.cancel()

    def end(self) -> None:
        """Forget this transaction."""
        for name in list(self._timers):
            self._stop(name)
        self.table.forget(self)

    def transmit(self, what: str) -> None:
        raise NotImplementedError

    def timed_out(self) -> None:
        raise NotImplementedError

    def fired(self, name: str) -> None:
        raise NotImplementedError


class ClientTransaction(_Running):
    """A request of ours and its responses. `answered(None)` means that nobody answered (timer B or F)."""

    def __init__(self, table: Exchange, key: Key, flow: Flow, request: Request, answered: Callable[[Response | None], None]) -> None:
        super().__init__(table, key, flow)
        self.request = request
        self.final: Response | None = None
        self.drop_ack = False
        self._answered = answered
        machine = InviteClient if request.method == "INVITE" else RequestClient
        self.machine: InviteClient | RequestClient = machine(flow.reliable, table.timing)

    def begin(self) -> None:
        """Send it."""
        self.apply(self.machine.begin(), lambda: None)

    def receive(self, response: Response) -> None:
        """A response that matched."""
        if response.code >= 300:
            self.final = response
        self.apply(self.machine.response(response.code), lambda: self._answered(response))

    def transmit(self, what: str) -> None:
        """The request, or the ACK of a refusal."""
        if what == "ack" and not self.drop_ack and self.final is not None:
            self.flow.send(serialize(acknowledge_refusal(self.request, self.final)))
        elif what == "request":
            self.flow.send(serialize(self.request))

    def timed_out(self) -> None:
        """Nobody answered."""
        self._answered(None)

    def fired(self, name: str) -> None:
        """A timer."""
        self.apply(self.machine.timer(name), lambda: None)  # type: ignore[arg-type]


class ServerTransaction(_Running):
    """A request of theirs and our responses. `lost()` is called when a refusal was never acknowledged (timer H)."""

    def __init__(self, table: Exchange, key: Key, flow: Flow, request: Request) -> None:
        super().__init__(table, key, flow)
        self.request = request
        self.name = _request_name(request)
        self.response: Response | None = None
        machine = InviteServer if request.method == "INVITE" else RequestServer
        self.machine: InviteServer | RequestServer = machine(flow.reliable, table.timing)

    @property
    def pending(self) -> bool:
        """No final response was given yet."""
        return self.response is None or self.response.code < 200

    def respond(self, response: Response) -> None:
        """Answer, or answer a 2xx once more. What comes after a final response is dropped (RFC 3261 §17.2.1)."""
        actions = self.machine.respond(response.code)
        if actions:
            self.response = response
        self.apply(actions, lambda: None)

    def repeated(self) -> None:
        """The request came again."""
        self.apply(self.machine.request(), lambda: None)

    def acknowledged(self) -> None:
        """An ACK with this branch: of a refusal, as that of a 2xx has a branch of its own."""
        if isinstance(self.machine, InviteServer):
            self.apply(self.machine.ack(), lambda: None)

    def transmit(self, what: str) -> None:
        """The last response."""
        if self.response is not None:
            self.flow.send(serialize(self.response))

    def timed_out(self) -> None:
        """An ACK that never comes changes nothing: the refusal was ours."""

    def fired(self, name: str) -> None:
        """A timer."""
        self.apply(self.machine.timer(name), lambda: None)  # type: ignore[arg-type]


class Exchange:
    """All transactions of one user agent. What matches none goes up: `on_request(transaction, request)`, `on_ack(request)`."""

    def __init__(
        self,
        clock: Clock,
        on_request: Callable[[ServerTransaction, Request], None],
        on_ack: Callable[[Request], None],
        timing: Timing = STANDARD,
    ) -> None:
        self.clock, self.timing = clock, timing
        self._on_request, self._on_ack = on_request, on_ack
        self._clients: dict[Key, ClientTransaction] = {}
        self._servers: dict[Key, ServerTransaction] = {}
        self._firsts: dict[Key, ServerTransaction] = {}
        """Of requests outside a dialog, the one that came first by whatever way."""

    def start(self, request: Request, flow: Flow, answered: Callable[[Response | None], None]) -> ClientTransaction:
        """Send a request; `answered` is called with every response that counts."""
        key = (branch_of(request), request.method)
        transaction = ClientTransaction(self, key, flow, request, answered)
        self._clients[key] = transaction
        transaction.begin()
        return transaction

    def receive(self, message: Request | Response, flow: Flow) -> None:
        """Every message that came in."""
        if isinstance(message, Response):
            client = self._clients.get((branch_of(message), message.cseq.method))
            if client:
                client.receive(message)
            return
        key = _server_key(message, "INVITE" if message.method == "ACK" else message.method)
        known = self._servers.get(key)
        if message.method == "ACK":
            self._acknowledged(known, message)
        elif known:
            known.repeated()
        elif len(self._servers) >= MAX_SERVERS:
            flow.send(serialize(respond(message, 503, tag=new_tag())))
        else:
            transaction = self._servers[key] = ServerTransaction(self, key, flow, message)
            if not tag_of(message.to_address):
                self._firsts.setdefault(transaction.name, transaction)
            transaction.apply(transaction.machine.begin(), lambda: self._on_request(transaction, message))

    def _acknowledged(self, known: ServerTransaction | None, ack: Request) -> None:
        if known is not None and known.response is not None and known.response.code >= 300:
            known.acknowledged()
        else:
            self._on_ack(ack)

    def invite_of(self, cancel: Request) -> ServerTransaction | None:
        """The INVITE that a CANCEL is about: same branch (RFC 3261 §9.2)."""
        return self._servers.get(_server_key(cancel, "INVITE"))

    def merged(self, transaction: ServerTransaction) -> bool:
        """The request outside a dialog is at work here already: a fork has brought it by two ways (RFC 3261 §8.2.2.2)."""
        return not tag_of(transaction.request.to_address) and self._firsts.get(transaction.name, transaction) is not transaction

    def forget(self, transaction: _Running) -> None:
        """It is over."""
        if isinstance(transaction, ServerTransaction) and self._firsts.get(transaction.name) is transaction:
            del self._firsts[transaction.name]
        table: dict[Key, ClientTransaction] | dict[Key, ServerTransaction]
        table = self._clients if isinstance(transaction, ClientTransaction) else self._servers
        table.pop(transaction.key, None)

    def clear(self) -> None:
        """End everything, silently."""
        for transaction in [*self._clients.values(), *self._servers.values()]:
            transaction.end()


def _server_key(request: Request, method: str) -> Key:
    """What names a transaction of theirs (RFC 3261 §17.2.3): without the cookie a branch says nothing, and call, caller and number do."""
    via, branch = request.via[0], branch_of(request)
    old = () if branch.startswith(COOKIE) else (request.call_id, tag_of(request.from_address), str(request.cseq.sequence))
    return (branch, via.host.lower(), str(via.port), method, *old)


def _request_name(request: Request) -> Key:
    """What a request keeps on all branches of a fork, and whose account it is for: each account is a UAS of its own."""
    sequence = request.cseq
    return (request.call_id, tag_of(request.from_address), str(sequence.sequence), sequence.method, request.uri.user or "")


def acknowledge_refusal(invite: Request, response: Response) -> Request:
    """The ACK of a 300–699 (RFC 3261 §17.1.1.3): the INVITE's branch, Route and Request-URI, the response's To."""
    ack = _sibling(invite, "ACK")
    ack.headers.setlist("To", list(response.headers.getlist("To")))
    return ack


def cancel(invite: Request) -> Request:
    """The CANCEL of a request (RFC 3261 §9.1)."""
    request = _sibling(invite, "CANCEL")
    if tag_of(request.to_address):
        raise ValueError("a request in a dialog is not cancelled")
    return request


def _sibling(invite: Request, method: str) -> Request:
    request = Request(method=method, uri=invite.uri)
    request.headers.set("Via", str(invite.via[0]))
    for name in ("Max-Forwards", "Route", "From", "To", "Call-ID"):
        if invite.headers.getlist(name):
            request.headers.setlist(name, list(invite.headers.getlist(name)))
    request.cseq = CSeq(sequence=invite.cseq.sequence, method=method)
    return request

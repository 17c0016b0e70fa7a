"""Sending requests: next hop, Via, Digest, and the wait for the final response."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from sipmessage import URI, CSeq, Parameters, Request, Response, Via

from .account import Account
from .exchange import ClientTransaction, Exchange
from .fault import TransportError
from .flow import Flow
from .message import new_branch, serialize
from .misbehaviour import Misbehaviours
from .resolve import Resolver
from .transports import PORTS, Hop, Transports

OVERLOADED = 503
MAX_CHALLENGES = 4
"""How often one request is sent: several proxies may challenge one after the other, and each may call its nonce stale."""


@dataclass
class Sending:
    """Callbacks of one request: `started` with every transaction (a challenge makes a second one), `further` with every response but the
    first final one: provisional ones, and a 2xx that came again."""

    started: Callable[[ClientTransaction], None] = lambda _: None
    further: Callable[[Response], None] = lambda _: None


class Dispatch:
    """Sends what user agents of this host send."""

    def __init__(self, transports: Transports, exchange: Exchange, resolver: Resolver, wrong: Misbehaviours) -> None:
        self._transports, self._exchange, self._resolver, self._wrong = transports, exchange, resolver, wrong

    async def flow(self, uri: URI, account: Account) -> Flow:
        """A flow to the first hop that can be reached (RFC 3263 §4.3), in the account's address family; over TLS only where it is `sips:`.

        TransportError tells of the last failure.
        """
        last = TransportError(f"{uri}: nowhere to go")
        for hop in await self._hops(uri, account):
            try:
                return await self._transports.reach(hop)
            except TransportError as error:
                last = error
        raise last

    async def _hops(self, uri: URI, account: Account) -> list[Hop]:
        """Everything to try, best first; never empty. TransportError where there is nothing that the account may use."""
        hops = await self._resolver.hops(uri, 6 if ":" in account.host else 4)
        usable = [hop for hop in hops if hop.transport == "tls" or not account.secure]
        if not usable:
            raise TransportError(f"{uri}: {hops[0].transport} is no way for {account.aor} (RFC 5630 §3.1)")
        return usable

    async def submit(self, request: Request, account: Account, next_hop: URI, sending: Sending | None = None) -> Response:
        """Send and wait for the final response; challenges are answered, where they came from. TransportError where it was not sent or
        nobody answered."""
        sending = sending or Sending()
        attempt = account.protection.attempt(account.credentials, only_first="one-realm" in self._wrong)
        attempt.prepare(request)
        hops = await self._hops(next_hop, account)
        for _ in range(MAX_CHALLENGES):
            response, hops = await self._first_answer(request, hops, sending)
            challenged = response.code in (401, 407) and "register-without-auth" not in self._wrong
            if not challenged or not attempt.meet(request, response):
                break
            request.cseq = CSeq(sequence=request.cseq.sequence + 1, method=request.method)
        attempt.learn(response)
        return response

    async def _first_answer(self, request: Request, hops: list[Hop], sending: Sending) -> tuple[Response, list[Hop]]:
        """The final response of the first hop that gives one; who is overloaded (503) or silent is passed over as long as there is another
        (RFC 3263 §4.3). And the hops from there on. TransportError of the last one where nobody answered."""
        for index, hop in enumerate(hops, 1):
            try:
                response = await self._once(request, await self._transports.reach(hop), sending)
            except TransportError:
                if index == len(hops):
                    raise
                continue
            if response.code != OVERLOADED or index == len(hops):
                break
        return response, hops[index - 1 :]

    async def _once(self, request: Request, flow: Flow, sending: Sending) -> Response:
        self._stamp(request, flow)
        final: asyncio.Future[Response] = asyncio.get_running_loop().create_future()

        def answered(response: Response | None) -> None:
            if response is None:
                if not final.done():
                    final.set_exception(TransportError(f"no answer to {request.method} from {flow.peer[0]}:{flow.peer[1]}"))
            elif response.code < 200 or final.done():
                sending.further(response)
            else:
                final.set_result(response)

        transaction = self._exchange.start(request, flow, answered)
        transaction.drop_ack = "drop-ack" in self._wrong
        sending.started(transaction)
        return await final

    def _stamp(self, request: Request, flow: Flow) -> None:
        """A new topmost Via, with rport (RFC 3581)."""
        branch = "z9hG4bKreused" if "reuse-branch" in self._wrong else new_branch()
        host = f"[{flow.local[0]}]" if ":" in flow.local[0] else flow.local[0]
        parameters = Parameters(rport=None, branch=branch)
        request.via = [Via(transport=flow.transport.upper(), host=host, port=PORTS[flow.transport], parameters=parameters)]

    async def acknowledge(self, ack: Request, account: Account, next_hop: URI) -> None:
        """Send the ACK of a 2xx: no transaction, a branch of its own (RFC 3261 §13.2.2.4)."""
        if "drop-ack" in self._wrong:
            return
        flow = await self.flow(next_hop, account)
        self._stamp(ack, flow)
        flow.send(serialize(ack))

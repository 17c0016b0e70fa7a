"""The INVITE that opens a call of ours: provisional responses and their PRACK, CANCEL, the final response (RFC 3261 §13.2, RFC 3262 §4)."""

from __future__ import annotations

import asyncio
import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sipmessage import URI, Request, Response

from . import reliability, session_timer
from .dialog import Dialog
from .dispatch import Sending
from .exchange import ClientTransaction, cancel
from .fault import SdpError
from .handshake import SDP
from .message import ALLOW, EXTENSIONS, set_body, tag_of
from .reliability import RAck, ReliableReceiver
from .session_timer import Policy

if TYPE_CHECKING:
    from .call import Call

MAX_EARLY = 20
"""Early dialogs of one call: more branches than any fork here has, and a bound for whoever invents tags."""
MAX_INTERVALS = 3
"""How often a session interval is raised after a 422 (RFC 4028 §7.3)."""


@dataclass
class Early:
    """An early dialog: each branch of a fork has its own (RFC 3261 §12.1.2)."""

    dialog: Dialog
    order: ReliableReceiver = field(default_factory=ReliableReceiver)
    answer: bytes = b""
    """What a reliable response of this branch answered to our offer: its 2xx need not say it again (RFC 3262 §5)."""


class OutgoingInvite:
    """From the INVITE to its final response; `delayed` leaves the offer to the other side (RFC 3264 §4)."""

    def __init__(self, call: Call, target: URI, *, delayed: bool) -> None:
        self.cancelled = False
        self.transaction: ClientTransaction | None = None
        self.task: asyncio.Task[None] | None = None
        """What runs it."""
        self._overdue: asyncio.TimerHandle | None = None
        self._call, self._target, self._delayed = call, target, delayed
        self._cancellable = False
        self._early: dict[str, Early] = {}
        self._settled = ""
        """Tag of the early dialog in which offer and answer were exchanged."""
        self._wrong = ""
        self._kept = False
        """The misbehaviour `first-description` has taken an answer."""

    async def run(self) -> None:
        """Send it and see it through."""
        try:
            await self._run()
        finally:
            self._cancellable = False
            self._confirmed()

    async def _run(self) -> None:
        session = self._call.account.session
        for _ in range(MAX_INTERVALS):
            request = self._request(session)
            sending = Sending(self._started, self._further)
            response = await self._call.agent.dispatch.submit(request, self._call.account, self._call.account.hop, sending)
            if response.code != 422:
                break
            self._call.dialog.sequence = request.cseq.sequence
            lowest = session_timer.lowest_of(response)
            session = Policy(max(lowest, session.seconds or 0), max(lowest, session.lowest))
        if response.code >= 300:
            self._call.tell_cause(response)
            self._call.tell("terminated", response.code, self._wrong or response.phrase)
        else:
            await self._accepted(request, response)

    def _request(self, session: Policy) -> Request:
        call = self._call
        call.dialog.target = self._target
        request = call.dialog.request("INVITE")
        request.route = [call.account.route]
        for name, value in call.account.identity.items():
            request.headers.set(name, value)
        for name, value in call.account.headers:
            request.headers.add(name, value)
        request.max_forwards = call.account.max_forwards
        request.headers.set("Allow", ALLOW)
        request.supported = list(EXTENSIONS)
        required = sorted(call.account.require)
        if call.replaces:
            request.headers.set("Replaces", call.replaces)
            required.append("replaces")
        request.require = required
        if session.seconds:
            request.headers.set("Session-Expires", str(session.seconds))
        if session.lowest != session_timer.LOWEST:
            request.headers.set("Min-SE", str(session.lowest))
        if not self._delayed:
            set_body(request, SDP, call.negotiation.offer())
            call.changes.offers.ours = True
        return request

    def _started(self, transaction: ClientTransaction) -> None:
        self.transaction, self._cancellable = transaction, False
        self._confirmed()

    # -- provisional responses -------------------------------------------------------------------------------------------------

    def _further(self, response: Response) -> None:
        """A provisional response, or a 2xx that came once more."""
        if response.code >= 200:
            self._call.repeated(response)
            return
        self._cancellable = True
        if self.cancelled:
            self._send_cancel()
            return
        if "first-description" in self._call.agent.wrong:
            self._keep_first(response)
        tag = tag_of(response.to_address)
        if response.code > 100 and tag and (tag in self._early or len(self._early) < MAX_EARLY):
            self._provisional(self._early_of(response), response)
        if response.code > 100 and self._call.state == "calling":
            self._call.tell("ringing", response.code, response.phrase)

    def _keep_first(self, response: Response) -> None:
        if response.body and not self._kept:
            self._call.negotiation.accept_answer(response.body)
            self._kept = True

    def _early_of(self, response: Response) -> Early:
        tag = tag_of(response.to_address)
        if tag not in self._early:
            dialog = copy.copy(self._call.dialog)
            dialog.sequence, dialog.remote_sequence = response.cseq.sequence, -1
            dialog.learn(response)
            self._early[tag] = Early(dialog)
            if not tag_of(self._call.dialog.remote):
                self._call.dialog = dialog
        return self._early[tag]

    def _provisional(self, early: Early, response: Response) -> None:
        number = reliability.number_of(response)
        if number is None or not early.order.accept(number):
            return
        early.dialog.refresh(response)
        early.answer = early.answer or response.body
        try:
            answer = self._describe(response)
        except SdpError as error:
            self._wrong = str(error)
            self.cancel()
            return
        if "no-prack" not in self._call.agent.wrong:
            self._call.spawn(self._acknowledge(early.dialog, RAck(number, response.cseq.sequence, "INVITE"), answer))

    def _describe(self, response: Response) -> bytes | None:
        """Offer and answer in a reliable response (RFC 3262 §5): the answer to ours, or an offer, whose answer goes into the PRACK."""
        if not response.body or self._settled:
            return None
        self._settled = tag_of(response.to_address)
        if self._delayed:
            return self._call.negotiation.accept_offer(response.body)
        self._call.negotiation.accept_answer(response.body)
        self._call.changes.offers.ours = False
        return None

    async def _acknowledge(self, dialog: Dialog, ack: RAck, answer: bytes | None) -> None:
        request = dialog.request("PRACK")
        request.headers.set("RAck", str(ack))
        if answer is not None:
            set_body(request, SDP, answer)
        response = await self._call.agent.dispatch.submit(request, self._call.account, dialog.next_hop)
        dialog.sequence = max(dialog.sequence, request.cseq.sequence)
        if response.code >= 300:
            self._call.agent.listener.trouble(f"PRACK: {response.code} {response.phrase}")

    def cancel(self) -> None:
        """CANCEL, as soon as a provisional response allows it (RFC 3261 §9.1)."""
        if not self.cancelled:
            self.cancelled = True
            if self._cancellable:
                self._send_cancel()

    def _send_cancel(self) -> None:
        if self.transaction and self._cancellable:
            exchange = self._call.agent.exchange
            exchange.start(cancel(self.transaction.request), self.transaction.flow, lambda _: None)
            self._cancellable = False
            self._overdue = asyncio.get_running_loop().call_later(exchange.timing.timeout, self._give_up, self.transaction)

    def _confirmed(self) -> None:
        """Nothing that was cancelled is waited for."""
        if self._overdue:
            self._overdue.cancel()

    def _give_up(self, transaction: ClientTransaction) -> None:
        """The INVITE has no final response 64*T1 after its CANCEL (RFC 3261 §9.1)."""
        transaction.end()
        if self.task:
            self.task.cancel()
        self._call.tell("terminated", reason="cancelled, and no final response (RFC 3261 §9.1)")

    # -- the 2xx ---------------------------------------------------------------------------------------------------------------

    async def _accepted(self, request: Request, response: Response) -> None:
        call, tag = self._call, tag_of(response.to_address)
        early = self._early_of(response)
        call.dialog = early.dialog
        call.dialog.sequence = max(call.dialog.sequence, request.cseq.sequence)
        call.dialog.learn(response)
        awaits = "" if tag == self._settled or self._kept else "offer" if self._delayed else "answer"
        wrong = await call.conclude(request, response.body or early.answer, awaits)
        if wrong or self.cancelled:
            await call.bye(wrong or "cancelled too late")
            return
        asked = session_timer.of(request)
        call.timer.start(session_timer.agreed(asked, response, call.account.session.lowest))
        call.tell_media()
        call.tell("established", response.code, response.phrase)

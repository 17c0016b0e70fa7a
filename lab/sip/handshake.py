"""The three-way handshake of INVITE above its transaction: the caller's ACK for every 2xx, the callee's 2xx until an ACK (RFC 3261 §13)."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable
from typing import TYPE_CHECKING

from sipmessage import Request, Response

from .dialog import Dialog
from .exchange import ServerTransaction
from .fault import SipError
from .message import respond, set_body, tag_of

if TYPE_CHECKING:
    from .call import Call

SDP = "application/sdp"
MAX_BRANCHES = 20
"""How many further branches of one fork are ended; whoever invents tags gets no more."""
LATE = 3
"""How often a 2xx has to come before the misbehaviour `late-ack` acknowledges it."""


def unreadable(request: Request, tag: str = "") -> Response | None:
    """415 for a body that is no session description, with what one has to be (RFC 3261 §8.2.3)."""
    kind = (request.headers.get("Content-Type") or SDP).split(";")[0].strip().lower()
    coding = (request.headers.get("Content-Encoding") or "identity").strip().lower()
    if not request.body or (kind, coding) == (SDP, "identity"):
        return None
    response = respond(request, 415, tag=tag)
    response.headers.set("Accept", SDP)
    response.headers.set("Accept-Encoding", "identity")
    return response


class Confirmation:
    """The caller's ACK of a 2xx, sent again whenever that comes again; 2xx of further branches of a fork are acknowledged and ended.

    RFC 3261 §13.2.2.4.
    """

    def __init__(self, call: Call, invite: Request, answer: bytes | None) -> None:
        self._call, self._invite = call, invite
        self._seen = 0
        self._ended: set[str] = set()
        self._ack = self._acknowledgement(call.dialog)
        if answer is not None and "ack-without-answer" not in call.agent.wrong:
            set_body(self._ack, SDP, answer)

    def _acknowledgement(self, dialog: Dialog) -> Request:
        ack = dialog.request("ACK", self._invite.cseq.sequence)
        for name in ("Authorization", "Proxy-Authorization"):
            if self._invite.headers.getlist(name):
                ack.headers.setlist(name, list(self._invite.headers.getlist(name)))
        return ack

    async def send(self) -> None:
        """For the first 2xx, and for each that comes again."""
        self._seen += 1
        if "late-ack" not in self._call.agent.wrong or self._seen >= LATE:
            await self._call.agent.dispatch.acknowledge(self._ack, self._call.account, self._call.dialog.next_hop)

    def repeated(self, response: Response) -> None:
        """A 2xx came again, or that of another branch of a fork."""
        tag = tag_of(response.to_address)
        if tag == tag_of(self._call.dialog.remote):
            self._call.spawn(self.send())
        elif "one-dialog" in self._call.agent.wrong:
            return
        elif tag not in self._ended and len(self._ended) < MAX_BRANCHES:
            self._ended.add(tag)
            self._call.agent.spawn(self._end(response))

    async def _end(self, response: Response) -> None:
        """ACK and BYE for a dialog that nobody wants: there is one call already."""
        call, dialog = self._call, copy.copy(self._call.dialog)
        dialog.learn(response)
        try:
            await call.agent.dispatch.acknowledge(self._acknowledgement(dialog), call.account, dialog.next_hop)
            await call.agent.dispatch.submit(dialog.request("BYE"), call.account, dialog.next_hop)
        except SipError as error:
            call.agent.listener.trouble(f"another branch answered: {error}")


class Acceptance:
    """The callee's 2xx, repeated at T1, 2*T1 … T2 until its ACK; `given_up` after 64*T1 (RFC 3261 §13.3.1.4)."""

    def __init__(self, call: Call, transaction: ServerTransaction, offered: bool, given_up: Callable[[], object]) -> None:
        self.offered = offered
        """The 2xx holds our offer, its ACK has to hold the answer."""
        self._timing = call.agent.exchange.timing
        self._transaction, self._given_up = transaction, given_up
        self._timer: asyncio.TimerHandle | None = None

    def send(self, response: Response) -> None:
        """The first time."""
        self._transaction.respond(response)
        self._wait(self._timing.t1, self._timing.timeout)

    def _wait(self, interval: float, left: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(interval, self._again, interval, left)

    def _again(self, interval: float, left: float) -> None:
        if left <= interval or self._transaction.response is None:
            self._given_up()
            return
        self._transaction.respond(self._transaction.response)
        self._wait(min(2 * interval, self._timing.t2), left - interval)

    def acknowledged_by(self, ack: Request) -> bool:
        """Is it the ACK of this 2xx, and not of an earlier one that came again (RFC 3261 §13.2.2.4)?"""
        return ack.cseq.sequence == self._transaction.request.cseq.sequence

    def stop(self) -> None:
        """Its ACK came, or the call is over."""
        if self._timer:
            self._timer.cancel()
            self._timer = None

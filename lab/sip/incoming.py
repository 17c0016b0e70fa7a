"""The INVITE that opens a call of theirs: what is refused at once, reliable ringing, the 2xx (RFC 3261 §13.3, RFC 3262 §3, RFC 4028 §9)."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING

from sipmessage import Address, Request, Response

from . import reliability, session_timer
from .account import Account
from .cause import give_cause
from .exchange import ServerTransaction
from .fault import MessageError, SdpError
from .glare import Offers
from .handshake import SDP
from .message import ALLOW, EXTENSIONS, new_tag, respond, set_body, tag_of, with_tag
from .reliability import RAck, ReliableSender
from .session_timer import Agreement

if TYPE_CHECKING:
    from .call import Call


def objection(request: Request, account: Account, tag: str) -> Response | None:
    """The refusal of an INVITE that the account's policy does not take: 400, 401, 421 (RFC 3261 §21.4.16), 422 (RFC 4028 §9)."""
    try:
        short = session_timer.too_short(request, account.session)
    except MessageError as error:
        return respond(request, 400, str(error), tag)
    if short:
        response = respond(request, 422, tag=tag)
        response.headers.set("Min-SE", str(account.session.lowest))
        return response
    if reliability.TAG in account.require and reliability.TAG not in (*request.supported, *request.require):
        response = respond(request, 421, tag=tag)
        response.require = [reliability.TAG]
        return response
    return account.guard.objection(request, tag) if account.guard else None


class IncomingInvite:
    """From the INVITE to the ACK of its 2xx, or to its refusal."""

    def __init__(self, call: Call, transaction: ServerTransaction) -> None:
        self.transaction = transaction
        self._call = call
        request = transaction.request
        call.changes.offers.theirs = bool(request.body)
        wanted = reliability.TAG in call.account.require and reliability.TAG in request.supported
        self._reliable = (wanted or reliability.TAG in request.require) and "ignore-100rel" not in call.agent.wrong
        self._sender = ReliableSender(secrets.randbelow(2**16), call.agent.exchange.timing)
        self._repeat: asyncio.TimerHandle | None = None
        self._settled = self._offered = False
        """Offer and answer are exchanged; our offer, in a reliable response, waits for its answer in the PRACK."""
        self._queued = False
        """A 2xx waits for the PRACK: none may be sent while a description is not acknowledged (RFC 3262 §5)."""
        self._previewed = b""
        """The answer as a 183 has told it, not reliably: the 2xx repeats it (RFC 3261 §13.2.1)."""

    def respond(self, code: int, reason: str | None = None, contact: str | None = None, cause: int | None = None) -> None:
        """Answer the INVITE; a 183 brings the answer to its offer, so that media can be heard before the call is (RFC 3960 §2)."""
        if not self.transaction.pending:
            return
        response = respond(self.transaction.request, code, reason, tag_of(self._call.dialog.local))
        response.contact = [Address.parse(f"<{contact}>")] if contact else [self._call.dialog.contact] if code < 300 else []
        if cause is not None:
            give_cause(response, cause)
        if 200 <= code < 300 and self._sender.waiting:
            self._queued = True
        elif 200 <= code < 300:
            self._accept(response)
        elif code < 200 and self._reliable:
            self._announce(response)
        elif self.transaction.request.body and (code == 183 or (code == 180 and self._call.account.early_media)):
            self._progress()
        else:
            self.stop()
            self.transaction.respond(response)
            self._call.tell("ringing" if code < 200 else "terminated", code, response.phrase)

    def stop(self) -> None:
        """Nothing is repeated any more."""
        self._sender.waiting = False
        if self._repeat:
            self._repeat.cancel()

    def _describe(self, response: Response) -> bool:
        """Our part of offer and answer into a response. SdpError where their offer cannot be answered. True where it was an offer."""
        offer = self.transaction.request.body
        set_body(response, SDP, self._call.negotiation.accept_offer(offer) if offer else self._call.negotiation.offer())
        self._call.changes.offers = Offers(ours=not offer)
        return not offer

    # -- reliable provisional responses ------------------------------------------------------------------------------------------

    def _announce(self, response: Response) -> None:
        """One at a time; a second one while the first is not acknowledged would say nothing new."""
        if self._sender.waiting:
            return
        if not (self._settled or self._offered):
            try:
                self._offered = self._describe(response)
            except SdpError as error:
                self.respond(488, str(error))
                return
            self._settled = not self._offered
        response.headers.set("Allow", ALLOW)
        response.require = [reliability.TAG]
        response.headers.set("RSeq", str(self._sender.send()))
        self._send(response)
        self._call.tell("ringing", response.code, response.phrase)

    def _send(self, response: Response) -> None:
        self.transaction.respond(response)
        self._repeat = asyncio.get_running_loop().call_later(self._sender.repeat_after(), self._again, response)

    def _again(self, response: Response) -> None:
        if self._sender.exhausted:
            self.respond(504, "No PRACK")
        else:
            self._send(response)

    def acknowledge(self, transaction: ServerTransaction, request: Request) -> None:
        """A PRACK, with the answer to our offer, or with an offer of their own."""
        try:
            known = self._sender.acknowledge(RAck.parse(request.headers.get("RAck") or ""), self.transaction.request.cseq.sequence)
        except MessageError as error:
            transaction.respond(respond(request, 400, str(error)))
            return
        if not known:
            transaction.respond(respond(request, 481))
            return
        self.stop()
        if self._describe_acknowledgement(transaction, request) and self._queued:
            self.respond(200)

    def _describe_acknowledgement(self, transaction: ServerTransaction, request: Request) -> bool:
        """Answer the PRACK; False where what it describes ended the call."""
        response = respond(request, 200)
        try:
            if self._offered and not self._settled:
                self._call.negotiation.accept_answer(request.body)
                self._call.changes.offers = Offers()
                self._settled = True
            elif request.body:
                set_body(response, SDP, self._call.negotiation.accept_offer(request.body))
        except SdpError as error:
            transaction.respond(respond(request, 200 if not self._settled else 488, str(error)))
            if not self._settled:
                self.respond(488, str(error))
            return self._settled
        transaction.respond(response)
        return True

    # -- early media -------------------------------------------------------------------------------------------------------------

    def _progress(self) -> None:
        """183 with the answer; media flow from now on (RFC 3960 §3.2)."""
        response = respond(self.transaction.request, 183, tag=tag_of(self._call.dialog.local))
        response.contact = [self._call.dialog.contact]
        try:
            if self._previewed:
                set_body(response, SDP, self._previewed)
            else:
                self._describe(response)
                self._previewed = response.body
        except SdpError as error:
            self.respond(488, str(error))
            return
        self.transaction.respond(response)
        self._call.tell("ringing", response.code, response.phrase)

    # -- the 2xx ---------------------------------------------------------------------------------------------------------------

    def _accept(self, response: Response) -> None:
        call, offered = self._call, False
        response.headers.set("Allow", ALLOW)
        response.supported = list(EXTENSIONS)
        try:
            if self._previewed:
                set_body(response, SDP, self._previewed)
            elif not self._settled and "no-description" not in call.agent.wrong:
                offered = self._describe(response)
        except SdpError as error:
            self.respond(488, str(error))
            return
        call.timer.start(time_session(response, self.transaction.request, call))
        if "wrong-tag" in call.agent.wrong:
            response.to_address = with_tag(response.to_address, new_tag())
        call.accept(self.transaction, response, offered)


def time_session(response: Response, request: Request, call: Call) -> Agreement | None:
    """Put the session timer into our 2xx; what it comes to from our side."""
    call.changes.heed(request)
    told = session_timer.answer(request, call.account.session, call.timer.agreement)
    if told is None:
        return None
    response.headers.set("Session-Expires", str(told))
    if told.refresher == "uac":
        response.require = [*response.require, session_timer.TAG]
    return Agreement(told.seconds, ours=told.refresher == "uas")

"""Changes of a session within its dialog: re-INVITE and UPDATE, ours and theirs, also where they cross (RFC 3261 §14, RFC 3311)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from sipmessage import Request, Response

from . import session_timer
from .dispatch import Sending
from .exchange import ServerTransaction
from .fault import MessageError, SdpError, SipError, TransportError
from .glare import Offers, retry_after
from .handshake import SDP, unreadable
from .incoming import time_session
from .message import ALLOW, EXTENSIONS, respond, set_body
from .session_timer import SessionExpires

if TYPE_CHECKING:
    from .call import Call

MAX_TRIES = 4
"""How often a re-INVITE or UPDATE is sent that meets one of the other side each time, or has too short an interval for somebody."""
GONE = (408, 481)
"""Refusals that end the dialog, as no answer does (RFC 3261 §12.2.1.2)."""


class Changes:
    """What one call's session is turned into."""

    def __init__(self, call: Call) -> None:
        self.offers = Offers()
        self._call = call
        self._lowest = 0
        """The highest Min-SE that this dialog has brought, in a 422 or in a request of theirs; 0 where none has."""
        self._one = asyncio.Lock()
        """One change of ours at a time (RFC 3261 §14.1)."""

    # -- ours ------------------------------------------------------------------------------------------------------------------

    async def hold(self, wanted: bool) -> None:
        """re-INVITE with sendonly and silence, or back to sendrecv (RFC 3264 §8.4)."""
        call, state = self._call, "held" if wanted else "resumed"
        async with self._one:
            before, call.negotiation.direction = call.negotiation.direction, "sendonly" if wanted else "sendrecv"
            response = await self._change("INVITE", offer=True)
            if response.code >= 300:
                call.negotiation.direction = before
                return
            call.stream.muted = wanted and "talk-on-hold" not in call.agent.wrong
            call.tell_media()
            call.tell(state, response.code)

    async def update(self) -> None:
        """UPDATE with the session as it is (RFC 3311 §5.1)."""
        async with self._one:
            response = await self._change("UPDATE", offer=True)
            self._call.agent.listener.updated(self._call, response.code)

    async def refresh(self) -> None:
        """The session timer's request: UPDATE without SDP where the other side knows it, else re-INVITE (RFC 4028 §7.4)."""
        method = "UPDATE" if "UPDATE" in self._call.dialog.allowed else "INVITE"
        async with self._one:
            await self._change(method, offer=method == "INVITE")

    async def _change(self, method: str, *, offer: bool) -> Response:
        """Send it; a refusal is told. Where nobody answers, or the dialog is unknown there, BYE (RFC 3261 §12.2.1.2, RFC 4028 §10)."""
        named = "re-INVITE" if method == "INVITE" else method
        if self._call.state == "terminated":
            raise SipError(f"{named}: the call has ended meanwhile")
        try:
            response = await self._try(method, offer)
        except TransportError as error:
            await self._call.bye(f"{named}: {error}")
            raise
        if response.code >= 300:
            self._call.agent.listener.trouble(f"{named}: {response.code} {response.phrase}")
        if response.code in GONE:
            await self._call.bye(response.phrase, response.code)
        return response

    async def _try(self, method: str, offer: bool) -> Response:
        """Again after a pause where it met one of theirs, and at once with a longer interval where 422 asks for one; a 2xx is settled."""
        for _ in range(MAX_TRIES):
            request = self._request(method, offer)
            waiting, self.offers.ours = self.offers.ours, self.offers.ours or offer
            try:
                response = await self._call.send(request, Sending(further=self._call.repeated))
                if response.code < 300:
                    await self._settle(request, response)
                    return response
            finally:
                self.offers.ours = waiting
            if response.code == 422 and self._longer(request, response):
                continue
            if response.code != 491:
                break
            await asyncio.sleep(retry_after(self._call.dialog.initiated))
            if not self._call.established:
                break
        return response

    def _longer(self, request: Request, refusal: Response) -> bool:
        """The Min-SE of a 422 is more than what the request has asked for: worth another try (RFC 4028 §7.3)."""
        self.heed(refusal)
        asked = session_timer.of(request)
        return asked is not None and asked.seconds < self._lowest

    def heed(self, message: Request | Response) -> None:
        """Requests of ours in this dialog say the highest Min-SE that it has brought (RFC 4028 §7.4)."""
        if message.headers.get("Min-SE"):
            self._lowest = max(self._lowest, session_timer.lowest_of(message))

    def _request(self, method: str, offer: bool) -> Request:
        request = self._call.dialog.request(method)
        request.headers.set("Allow", ALLOW)
        request.supported = list(EXTENSIONS)
        agreement = self._call.timer.agreement
        if agreement:
            told = SessionExpires(max(agreement.seconds, self._lowest), "uac" if agreement.ours else "uas")
            request.headers.set("Session-Expires", str(told))
        if self._lowest:
            request.headers.set("Min-SE", str(self._lowest))
        if offer:
            set_body(request, SDP, self._call.negotiation.offer())
        return request

    async def _settle(self, request: Request, response: Response) -> None:
        """SdpError, after ACK and BYE, where the answer is no good."""
        call = self._call
        call.dialog.refresh(response)
        wrong = await call.conclude(request, response.body, "answer") if request.method == "INVITE" else self._unfit(request, response)
        if wrong:
            await call.bye(wrong)
            raise SdpError(wrong)
        call.timer.start(session_timer.agreed(session_timer.of(request), response, call.account.session.lowest))

    def _unfit(self, request: Request, response: Response) -> str:
        """What is wrong with the answer to an UPDATE with an offer."""
        try:
            if request.body:
                self._call.negotiation.accept_answer(response.body)
        except SdpError as error:
            return str(error)
        return ""

    # -- theirs ----------------------------------------------------------------------------------------------------------------

    def receive(self, transaction: ServerTransaction, request: Request) -> None:
        """re-INVITE or UPDATE."""
        refusal = unreadable(request) or self._refusal(request)
        if refusal:
            transaction.respond(refusal)
            return
        call = self._call
        call.dialog.refresh(request)
        response = respond(request, 200)
        response.contact = [call.dialog.contact]
        response.headers.set("Allow", ALLOW)
        response.supported = list(EXTENSIONS)
        offered = request.method == "INVITE" and not request.body
        try:
            if request.body:
                set_body(response, SDP, call.negotiation.accept_offer(request.body))
            elif offered:
                set_body(response, SDP, call.negotiation.offer())
        except SdpError as error:
            transaction.respond(respond(request, 488, str(error)))
            return
        call.timer.start(time_session(response, request, call))
        if request.method == "INVITE":
            call.accept(transaction, response, offered)
        else:
            transaction.respond(response)
            if request.body:
                self.tell_hold()

    def _refusal(self, request: Request) -> Response | None:
        """491 or 500 for an offer that meets another, 422 for too short an interval, 400 for a broken one."""
        carries_offer = request.method == "INVITE" or bool(request.body)
        code = self.offers.refusal() if carries_offer and "accept-glare" not in self._call.agent.wrong else None
        try:
            if code is None and session_timer.too_short(request, self._call.account.session):
                code = 422
        except MessageError as error:
            return respond(request, 400, str(error))
        if code is None:
            return None
        response = respond(request, code)
        if code == 422:
            response.headers.set("Min-SE", str(self._call.account.session.lowest))
        if code == 500:
            response.headers.set("Retry-After", "1")
        return response

    def tell_hold(self) -> None:
        """What their offer made of the call."""
        state = "resumed" if self._call.negotiation.met == "sendrecv" else "held"
        known = self._call.state
        if self._call.established and known != state and (known, state) != ("established", "resumed"):
            self._call.tell(state)

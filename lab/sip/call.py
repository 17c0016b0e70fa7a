"""A call: an INVITE dialog with its media, either way round (RFC 3261 §13–15)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from sipmessage import URI, Request, Response

from . import voice
from .account import Account
from .cause import cause_of
from .changes import Changes
from .dialog import Dialog
from .dispatch import Sending
from .exchange import ServerTransaction
from .fault import SdpError, SipError
from .glare import Offers
from .handshake import Acceptance, Confirmation
from .incoming import IncomingInvite
from .message import not_allowed, respond, set_body, tag_of
from .outgoing import OutgoingInvite
from .referral import Referral
from .session_timer import SessionTimer

if TYPE_CHECKING:
    from .user_agent import UserAgent


class Call:
    """One leg. States: new, calling, ringing, established, held, resumed, terminated; incoming for one that nobody answered yet.

    What begins it (`incoming` or `outgoing`), changes it (`changes`), times it (`timer`) and transfers it (`referral`) are its parts.
    """

    def __init__(self, agent: UserAgent, account: Account, dialog: Dialog) -> None:
        self.agent, self.account, self.dialog = agent, account, dialog
        self.state = "new"
        self.replaces: str | None = None
        self.on_outcome: Callable[[int], None] = lambda _: None
        """Told once how an outgoing call ended up: its final code, or 503 where there was none."""
        self._broken, self.stream = "", voice.stream(self)
        self.negotiation = voice.negotiation(self)
        self.outgoing: OutgoingInvite | None = None
        self.incoming: IncomingInvite | None = None
        self.changes, self.referral = Changes(self), Referral(self)
        self.timer = SessionTimer(self._refresh, self._expire)
        self._confirmation: Confirmation | None = None
        self._acceptance: Acceptance | None = None

    @property
    def established(self) -> bool:
        """Answered, and not over."""
        return self.state in ("established", "held", "resumed")

    # -- its life --------------------------------------------------------------------------------------------------------------

    def tell(self, state: str, code: int | None = None, reason: str | None = None) -> None:
        """A new state, unless the call is over already."""
        if self.state == "terminated":
            return
        self.state = state
        if state in ("established", "terminated"):
            self.on_outcome(code or 503)
            self.on_outcome = lambda _: None
        if state == "terminated":
            self.timer.stop()
            self._stop_repeating()
            if self.incoming:
                self.incoming.stop()
            self.stream.close()
            self.agent.forget(self)
        self.agent.listener.state(self, state, code, reason)
        if state == "established" and self._broken:
            self.spawn(self.bye(self._broken))

    def keyed(self) -> None:
        """The handshake for the media is done."""
        if self.established:
            self.tell_media()

    def media_failed(self, why: str) -> None:
        """No keys, no call: at once, or as soon as a BYE is allowed (RFC 3261 §15)."""
        self._broken = why
        if self.established:
            self.spawn(self.bye(why))

    def tell_media(self) -> None:
        """Offer and answer are complete."""
        agreed = self.negotiation.agreed
        if agreed and self.stream.ready:
            self.agent.listener.media(self, self.negotiation.met, self.negotiation.encryption, agreed.codec.split("/")[0])

    def tell_cause(self, message: Request | Response) -> None:
        """The telephone network's word for why the call ends, where the message has one."""
        cause = cause_of(message)
        if cause is not None:
            self.agent.listener.released(self, cause)

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run it; a failure ends the call with one line."""

        async def guarded() -> None:
            try:
                await work
            except SipError as error:
                self.agent.listener.trouble(str(error))
                self.tell("terminated", reason=str(error))

        return self.agent.spawn(guarded())

    async def send(self, request: Request, sending: Sending | None = None) -> Response:
        """A request within the dialog, to its final response; challenges may have used up further sequence numbers."""
        try:
            return await self.agent.dispatch.submit(request, self.account, self.dialog.next_hop, sending)
        finally:
            self.dialog.sequence = max(self.dialog.sequence, request.cseq.sequence)

    # -- what we do ------------------------------------------------------------------------------------------------------------

    def place(self, target: URI, *, delayed: bool) -> None:
        """INVITE; `delayed` leaves the offer to the other side (RFC 3264 §4)."""
        self.tell("calling")
        self.outgoing = OutgoingInvite(self, target, delayed=delayed)
        self.outgoing.task = self.spawn(self.outgoing.run())

    def cancel(self) -> None:
        """CANCEL."""
        if self.outgoing:
            self.outgoing.cancel()

    def respond(self, code: int, reason: str | None = None, contact: str | None = None, cause: int | None = None) -> None:
        """Answer the INVITE; `cause` is the telephone network's word for why it does not take the call."""
        if self.incoming:
            self.incoming.respond(code, reason, contact, cause)

    def hang_up(self) -> None:
        """End it in the way that its state allows (RFC 3261 §15): BYE, CANCEL, a refusal. Who has answered waits for the ACK first."""
        if self.established:
            self.spawn(self.bye())
        elif self.outgoing:
            self.outgoing.cancel()
        elif self.incoming and self.incoming.transaction.pending:
            self.respond(480)
        else:
            self._broken = "hung up"

    async def bye(self, reason: str | None = None, code: int | None = None) -> None:
        """End the dialog; `reason`, and `code` where somebody sent one, where it is not what a person wanted."""
        self.timer.stop()
        response = await self.send(self.dialog.request("BYE"))
        self.tell("terminated", response.code if reason is None else code, reason or response.phrase)

    def hold(self, wanted: bool) -> None:
        """Put the other side on hold, or take it off."""
        self.spawn(self.changes.hold(wanted))

    def update(self) -> None:
        """UPDATE (RFC 3311)."""
        self.spawn(self.changes.update())

    def refer(self, target: URI, replaces: Call | None) -> None:
        """Ask the other side to call `target`, in the place of our call `replaces` where one is given (RFC 3891)."""
        self.agent.spawn(self.referral.ask(target, replaces))

    def press(self, digits: str, via: str) -> None:
        """Digits in RTP (RFC 4733) or by INFO (RFC 6086)."""
        if "no-digits" in self.agent.wrong:
            return
        if via == "rfc4733":
            agreed = self.negotiation.agreed
            if not self.account.inband and (agreed is None or agreed.digits is None):
                self.agent.listener.trouble(f"digits {digits} cannot be sent: no telephone-event was agreed (RFC 4733)")
            self.stream.press(digits)
        else:
            self.spawn(self._inform(digits))

    async def _inform(self, digits: str) -> None:
        for digit in digits:
            request = self.dialog.request("INFO")
            set_body(request, "application/dtmf-relay", f"Signal={digit}\r\nDuration=160\r\n".encode())
            await self.send(request)

    def _refresh(self) -> None:
        if "refresh-never" not in self.agent.wrong:
            self.spawn(self.changes.refresh())

    def _expire(self) -> None:
        if "refresh-never" not in self.agent.wrong:
            self.spawn(self.bye("session expired (RFC 4028 §10)"))

    # -- the handshake of INVITE -----------------------------------------------------------------------------------------------

    async def conclude(self, invite: Request, described: bytes, awaits: str) -> str:
        """A 2xx to our INVITE: acknowledge it in any case, then say what is wrong with what it `described`, if anything.

        `awaits` is what it has to hold: the `answer` to our offer, an `offer`, or nothing.
        """
        answer, wrong = None, ""
        self.changes.offers.ours = False
        try:
            if awaits == "offer":
                answer = self.negotiation.accept_offer(described)
            elif awaits == "answer":
                self.negotiation.accept_answer(described)
        except SdpError as error:
            wrong = str(error)
        self._confirmation = Confirmation(self, invite, answer)
        await self._confirmation.send()
        return wrong

    def repeated(self, response: Response) -> None:
        """A 2xx came once more because our ACK was lost."""
        if response.code >= 200 and self._confirmation:
            self._confirmation.repeated(response)

    def accept(self, transaction: ServerTransaction, response: Response, offered: bool) -> None:
        """Our 2xx to an INVITE; where it holds our offer, the ACK has to hold the answer."""
        self._stop_repeating()
        self.changes.offers = Offers(ours=offered)
        self._acceptance = Acceptance(self, transaction, offered, lambda: self.spawn(self.bye("no ACK")))
        self._acceptance.send(response)

    def _stop_repeating(self) -> None:
        if self._acceptance:
            self._acceptance.stop()

    def acknowledged(self, ack: Request) -> None:
        """The ACK of our 2xx."""
        accepted = self._acceptance
        if accepted is None or not accepted.acknowledged_by(ack):
            return
        self._acceptance = None
        accepted.stop()
        try:
            if accepted.offered:
                self.changes.offers.ours = False
                self.negotiation.accept_answer(ack.body)
        except SdpError as error:
            self.spawn(self.bye(str(error)))
            return
        self.tell_media()
        if self.state in ("incoming", "ringing"):
            self.tell("established", 200)
        else:
            self.changes.tell_hold()

    def cancelled(self) -> None:
        """A CANCEL came: 487 (RFC 3261 §9.2)."""
        if "ignore-cancel" not in self.agent.wrong:
            self.respond(487)

    # -- requests within the dialog --------------------------------------------------------------------------------------------

    def receive(self, transaction: ServerTransaction, request: Request) -> None:
        """A request of the other side; one that is older than what we have seen is refused (RFC 3261 §12.2.2)."""
        if request.cseq.sequence <= self.dialog.remote_sequence:
            transaction.respond(respond(request, 500, tag=tag_of(self.dialog.local)))
            return
        self.dialog.remote_sequence = request.cseq.sequence
        handlers = {
            "BYE": self._on_bye,
            "INVITE": self.changes.receive,
            "UPDATE": self.changes.receive,
            "INFO": self._on_info,
            "REFER": self.referral.asked,
            "NOTIFY": self.referral.notified,
            "PRACK": self._on_prack,
            "OPTIONS": self.agent.reception.asked,
            "MESSAGE": self.agent.reception.messaged,
        }
        handlers.get(request.method, self._on_other)(transaction, request)

    def _on_other(self, transaction: ServerTransaction, request: Request) -> None:
        transaction.respond(not_allowed(request))

    def _on_bye(self, transaction: ServerTransaction, request: Request) -> None:
        transaction.respond(respond(request, 200))
        if "ignore-bye" in self.agent.wrong:
            return
        self.respond(487)
        self.tell_cause(request)
        self.tell("terminated", 200, "BYE")

    def _on_prack(self, transaction: ServerTransaction, request: Request) -> None:
        if self.incoming:
            self.incoming.acknowledge(transaction, request)
        else:
            transaction.respond(respond(request, 481))

    def _on_info(self, transaction: ServerTransaction, request: Request) -> None:
        transaction.respond(respond(request, 200))
        for line in request.body.decode(errors="replace").splitlines():
            name, _, value = line.partition("=")
            if name.strip().lower() == "signal" and value.strip():
                self.agent.listener.digit(self, value.strip(), "info")

"""A call: an INVITE dialog with its media, either way round (RFC 3261 §13–15)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from sipmessage import URI, Address, Request, Response

from . import voice
from .account import Account
from .dialog import Dialog
from .dispatch import Sending
from .exchange import ClientTransaction, ServerTransaction, cancel
from .fault import MessageError, SdpError, SipError
from .message import ALLOW, PHRASES, new_tag, respond, set_body, tag_of, with_tag
from .transfer import SIPFRAG, ReferTo, Replaces, status_of

if TYPE_CHECKING:
    from .user_agent import UserAgent

SDP = "application/sdp"
TALKING = ("established", "held", "resumed")


class Call:
    """One leg. States: new, calling, ringing, established, held, resumed, terminated; incoming for one that nobody answered yet."""

    def __init__(self, agent: UserAgent, account: Account, dialog: Dialog) -> None:
        self.agent, self.account, self.dialog = agent, account, dialog
        self.state = "new"
        self.invite: ServerTransaction | None = None
        self._attempt: ClientTransaction | None = None
        self._provisional = self._cancelled = False
        self._ack: Request | None = None
        self._offered = False
        """Our offer waits for its answer: in a 2xx, or in the ACK of ours."""
        self._repeat: asyncio.TimerHandle | None = None
        self.replaces: str | None = None
        self.on_outcome: Callable[[int], None] = lambda _: None
        """Told once how an outgoing call ended up: its final code, or 503 where there was none."""
        self._broken, self.stream = "", voice.stream(self)
        self.negotiation = voice.negotiation(self)

    def tell(self, state: str, code: int | None = None, reason: str | None = None) -> None:
        """A new state, unless the call is over already."""
        if self.state == "terminated":
            return
        self.state = state
        if state in ("established", "terminated"):
            self.on_outcome(code or 503)
            self.on_outcome = lambda _: None
        if state == "terminated":
            self._stop_repeating()
            self.stream.close()
            self.agent.forget(self)
        self.agent.listener.state(self, state, code, reason)
        if state == "established" and self._broken:
            self.spawn(self._bye(self._broken))

    def keyed(self) -> None:
        """The handshake for the media is done."""
        if self.state in TALKING:
            self._media()

    def media_failed(self, why: str) -> None:
        """No keys, no call: at once, or as soon as a BYE is allowed (RFC 3261 §15)."""
        self._broken = why
        if self.state in TALKING:
            self.spawn(self._bye(why))

    def _media(self) -> None:
        agreed = self.negotiation.agreed
        if agreed and self.stream.ready:
            self.agent.listener.media(self, self.negotiation.met, self.negotiation.encryption, agreed.codec.split("/")[0])

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run it; a failure ends the call with one line."""

        async def guarded() -> None:
            try:
                await work
            except SipError as error:
                self.agent.listener.trouble(str(error))
                self.tell("terminated", reason=str(error))

        self.agent.spawn(guarded())

    def hang_up(self) -> None:
        """BYE."""
        self.spawn(self._bye())

    async def _bye(self, reason: str | None = None) -> None:
        response = await self.agent.dispatch.submit(self.dialog.request("BYE"), self.account, self.dialog.next_hop)
        self.tell("terminated", response.code if reason is None else None, reason or response.phrase)

    def hold(self, wanted: bool) -> None:
        """re-INVITE with sendonly and silence, or back to sendrecv (RFC 3264 §8.4)."""
        self.negotiation.direction = "sendonly" if wanted else "sendrecv"
        self.spawn(self._reinvite("held" if wanted else "resumed"))

    async def _reinvite(self, state: str) -> None:
        request = self.dialog.request("INVITE")
        request.headers.set("Allow", ALLOW)
        set_body(request, SDP, self.negotiation.offer())
        response = await self.agent.dispatch.submit(request, self.account, self.dialog.next_hop, Sending(further=self._again))
        self.dialog.sequence = request.cseq.sequence
        if response.code >= 300:
            self._refused_reinvite(response)
            return
        self.dialog.refresh(response)
        if await self._settle(request, response, delayed=False):
            self.stream.muted = state == "held"
            self._media()
            self.tell(state, response.code)

    def _refused_reinvite(self, response: Response) -> None:
        """The session stays as it was, unless the other side does not know the dialog any more (RFC 3261 §14.1)."""
        self.negotiation.direction = "sendonly" if self.stream.muted else "sendrecv"
        self.agent.listener.trouble(f"re-INVITE: {response.code} {response.phrase}")
        if response.code in (408, 481):
            self.tell("terminated", response.code, response.phrase)

    async def _settle(self, request: Request, response: Response, *, delayed: bool) -> bool:
        """A 2xx: acknowledge it in any case, then see whether its description is any good; BYE and False where it is not."""
        answer, wrong = None, None
        try:
            if delayed:
                answer = self.negotiation.accept_offer(response.body)
            else:
                self.negotiation.accept_answer(response.body)
        except SdpError as error:
            wrong = str(error)
        await self._acknowledge(request, answer)
        if wrong or self._cancelled:
            await self._bye(wrong or "cancelled too late")
            return False
        return True

    def press(self, digits: str, via: str) -> None:
        """Digits in RTP (RFC 4733) or by INFO (RFC 6086)."""
        if "no-digits" in self.agent.wrong:
            return
        if via == "rfc4733":
            self.stream.press(digits)
        else:
            self.spawn(self._inform(digits))

    async def _inform(self, digits: str) -> None:
        for digit in digits:
            request = self.dialog.request("INFO")
            set_body(request, "application/dtmf-relay", f"Signal={digit}\r\nDuration=160\r\n".encode())
            await self.agent.dispatch.submit(request, self.account, self.dialog.next_hop)

    # -- the caller ------------------------------------------------------------------------------------------------------------

    def place(self, target: URI, *, delayed: bool) -> None:
        """INVITE; `delayed` leaves the offer to the other side (RFC 3264 §4)."""
        self.tell("calling")
        self.spawn(self._place(target, delayed))

    async def _place(self, target: URI, delayed: bool) -> None:
        self.dialog.target = target
        request = self.dialog.request("INVITE")
        request.route = [self.account.route]
        request.headers.set("Allow", ALLOW)
        if self.replaces:
            request.headers.set("Replaces", self.replaces)
            request.require = ["replaces"]
        if not delayed:
            set_body(request, SDP, self.negotiation.offer())
        sending = Sending(self._started, self._again)
        response = await self.agent.dispatch.submit(request, self.account, self.account.proxy, sending)
        self.dialog.sequence = request.cseq.sequence
        if response.code >= 300:
            self.tell("terminated", response.code, response.phrase)
            return
        self.dialog.learn(response)
        if await self._settle(request, response, delayed=delayed):
            self._media()
            self.tell("established", response.code, response.phrase)

    async def _acknowledge(self, invite: Request, answer: bytes | None) -> None:
        self._ack = self.dialog.request("ACK", invite.cseq.sequence)
        for name in ("Authorization", "Proxy-Authorization"):
            if invite.headers.getlist(name):
                self._ack.headers.setlist(name, list(invite.headers.getlist(name)))
        if answer is not None:
            set_body(self._ack, SDP, answer)
        await self.agent.dispatch.acknowledge(self._ack, self.dialog.next_hop)

    def _started(self, transaction: ClientTransaction) -> None:
        self._attempt, self._provisional = transaction, False

    def _again(self, response: Response) -> None:
        """A provisional response, or a 2xx that came once more because our ACK was lost."""
        if response.code >= 200:
            if self._ack and tag_of(response.to_address) == tag_of(self.dialog.remote):
                self.spawn(self.agent.dispatch.acknowledge(self._ack, self.dialog.next_hop))
            return
        self._provisional = True
        if self._cancelled:
            self._send_cancel()
        elif response.code > 100 and self.state == "calling":
            self.tell("ringing", response.code, response.phrase)

    def cancel(self) -> None:
        """CANCEL, as soon as a provisional response allows it (RFC 3261 §9.1)."""
        if not self._cancelled:
            self._cancelled = True
            if self._provisional:
                self._send_cancel()

    def _send_cancel(self) -> None:
        if self._attempt:
            self.agent.exchange.start(cancel(self._attempt.request), self._attempt.flow, lambda _: None)
            self._attempt = None

    # -- the callee ------------------------------------------------------------------------------------------------------------

    def respond(self, code: int, reason: str | None = None, contact: str | None = None) -> None:
        """Answer the INVITE; a 2xx is repeated until its ACK (RFC 3261 §13.3.1.4)."""
        if self.invite is None or not self.invite.pending:
            return
        response = respond(self.invite.request, code, reason, tag_of(self.dialog.local))
        response.contact = [Address.parse(f"<{contact}>")] if contact else [self.dialog.contact] if code < 300 else []
        if 200 <= code < 300:
            self._accept(response)
            return
        self.invite.respond(response)
        self.tell("ringing" if code < 200 else "terminated", code, response.phrase)

    def _accept(self, response: Response) -> None:
        request = self.invite.request if self.invite else None
        if request is None or self.invite is None:
            return
        response.headers.set("Allow", ALLOW)
        self._offered = not request.body
        try:
            set_body(response, SDP, self.negotiation.offer() if self._offered else self.negotiation.accept_offer(request.body))
        except SdpError as error:
            self.respond(488, str(error))
            return
        if "wrong-tag" in self.agent.wrong:
            response.to_address = with_tag(response.to_address, new_tag())
        self.invite.respond(response)
        self._repeat_until_acknowledged(self.invite, self.agent.exchange.timing.t1, self.agent.exchange.timing.timeout)

    def _repeat_until_acknowledged(self, invite: ServerTransaction, interval: float, left: float) -> None:
        def again() -> None:
            if left <= interval:
                self.spawn(self._bye("no ACK"))
            elif invite.response:
                invite.respond(invite.response)
                self._repeat_until_acknowledged(invite, min(2 * interval, self.agent.exchange.timing.t2), left - interval)

        self._repeat = asyncio.get_running_loop().call_later(interval, again)

    def _stop_repeating(self) -> None:
        if self._repeat:
            self._repeat.cancel()
            self._repeat = None

    def acknowledged(self, ack: Request) -> None:
        """The ACK of our 2xx, with the answer where the offer was ours."""
        if self._repeat is None:
            return
        self._stop_repeating()
        try:
            if self._offered:
                self.negotiation.accept_answer(ack.body)
        except SdpError as error:
            self.spawn(self._bye(str(error)))
            return
        self._media()
        if self.state in ("incoming", "ringing"):
            self.tell("established", 200)
        else:
            self._tell_hold()

    def _tell_hold(self) -> None:
        """What a re-INVITE of theirs made of the call."""
        state = "resumed" if self.negotiation.met == "sendrecv" else "held"
        if (self.state, state) != ("established", "resumed") and self.state != state:
            self.tell(state)

    def cancelled(self) -> None:
        """A CANCEL came: 487 (RFC 3261 §9.2)."""
        if "ignore-cancel" not in self.agent.wrong:
            self.respond(487)

    # -- requests within the dialog --------------------------------------------------------------------------------------------

    def receive(self, transaction: ServerTransaction, request: Request) -> None:
        """A request of the other side; one that is older than what we have seen is refused (RFC 3261 §12.2.2)."""
        tag = tag_of(self.dialog.local)
        if request.cseq.sequence <= self.dialog.remote_sequence:
            transaction.respond(respond(request, 500, tag=tag))
            return
        self.dialog.remote_sequence = request.cseq.sequence
        handler = {
            "BYE": self._on_bye,
            "INVITE": self._on_reinvite,
            "UPDATE": self._on_reinvite,
            "INFO": self._on_info,
            "REFER": self._on_refer,
            "NOTIFY": self._on_notify,
        }.get(request.method)
        if handler is None:
            transaction.respond(respond(request, 405, tag=tag))
        else:
            handler(transaction, request)

    def _on_bye(self, transaction: ServerTransaction, request: Request) -> None:
        transaction.respond(respond(request, 200))
        if self.invite and self.invite.pending:
            self.respond(487)
        self.tell("terminated", 200, "BYE")

    def _on_reinvite(self, transaction: ServerTransaction, request: Request) -> None:
        response = respond(request, 200)
        response.contact = [self.dialog.contact]
        self.dialog.refresh(request)
        self._offered = request.method == "INVITE" and not request.body
        try:
            if request.body:
                set_body(response, SDP, self.negotiation.accept_offer(request.body))
            elif self._offered:
                set_body(response, SDP, self.negotiation.offer())
        except SdpError as error:
            transaction.respond(respond(request, 488, str(error)))
            return
        transaction.respond(response)
        if request.method == "INVITE":
            self._repeat_until_acknowledged(transaction, self.agent.exchange.timing.t1, self.agent.exchange.timing.timeout)
        elif request.body:
            self._tell_hold()

    def _on_info(self, transaction: ServerTransaction, request: Request) -> None:
        transaction.respond(respond(request, 200))
        for line in request.body.decode(errors="replace").splitlines():
            name, _, value = line.partition("=")
            if name.strip().lower() == "signal" and value.strip():
                self.agent.listener.digit(self, value.strip(), "info")

    # -- transfer (RFC 3515) ---------------------------------------------------------------------------------------------------

    def refer(self, target: URI, replaces: Call | None) -> None:
        """Ask the other side to call `target`, in the place of our call `replaces` where one is given (RFC 3891)."""
        self.agent.spawn(self._refer(ReferTo(target, str(Replaces.of(replaces.dialog)) if replaces else None)))

    async def _refer(self, to: ReferTo) -> None:
        request = self.dialog.request("REFER")
        request.headers.set("Refer-To", str(to))
        request.headers.set("Referred-By", f"<{self.account.aor}>")
        try:
            response = await self.agent.dispatch.submit(request, self.account, self.dialog.next_hop)
        except SipError as error:
            self.agent.listener.trouble(str(error))
            self.agent.listener.transfer(self, "failed", None, None)
            return
        self.dialog.sequence = request.cseq.sequence
        self.agent.listener.transfer(self, "accepted" if response.code < 300 else "failed", response.code, None)

    def _on_notify(self, transaction: ServerTransaction, request: Request) -> None:
        transaction.respond(respond(request, 200))
        code = status_of(request.body)
        if code and code >= 200:
            self.agent.listener.transfer(self, "done" if code < 300 else "failed", code, None)

    def _on_refer(self, transaction: ServerTransaction, request: Request) -> None:
        """Accept, call the target, and tell how it went (RFC 3515 §2.4)."""
        try:
            to = ReferTo.parse(request.headers.get("Refer-To") or "")
        except MessageError as error:
            transaction.respond(respond(request, 400, str(error)))
            return
        response = respond(request, 202)
        response.contact = [self.dialog.contact]
        transaction.respond(response)
        self.agent.listener.transfer(self, "requested", None, str(to.target))
        placed = self.agent.call(self.account, to.target)
        placed.replaces = to.replaces
        placed.on_outcome = lambda code: self.agent.spawn(self._notify(code))
        self.agent.spawn(self._notify(100))
        self.agent.listener.outgoing(placed, str(to.target))
        placed.place(to.target, delayed=False)

    async def _notify(self, code: int) -> None:
        if self.state == "terminated":
            return
        request = self.dialog.request("NOTIFY")
        request.headers.set("Event", "refer")
        request.headers.set("Subscription-State", "active;expires=60" if code < 200 else "terminated;reason=noresource")
        set_body(request, SIPFRAG, f"SIP/2.0 {code} {PHRASES.get(code, 'Response')}\r\n".encode())
        try:
            await self.agent.dispatch.submit(request, self.account, self.dialog.next_hop)
        except SipError as error:
            self.agent.listener.trouble(f"NOTIFY: {error}")

"""REFER and the subscription that comes with it, in the dialog of the call that is transferred (RFC 3515, RFC 3891)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sipmessage import URI, Request

from .exchange import ServerTransaction
from .fault import MessageError, SipError, TransportError
from .message import PHRASES, respond, set_body
from .subscription import package_of
from .transfer import SIPFRAG, ReferTo, Replaces, status_of

if TYPE_CHECKING:
    from .call import Call


class Referral:
    """A call's transfers: those that we ask for, and those that we are asked for."""

    def __init__(self, call: Call) -> None:
        self._call = call

    async def ask(self, target: URI, replaces: Call | None) -> None:
        """Ask the other side to call `target`, in the place of our call `replaces` where one is given (RFC 3891)."""
        call = self._call
        request = call.dialog.request("REFER")
        request.headers.set("Refer-To", str(ReferTo(target, self._named(replaces) if replaces else None)))
        request.headers.set("Referred-By", f"<{call.account.aor}>")
        try:
            response = await call.send(request)
        except SipError as error:
            call.agent.listener.trouble(str(error))
            call.agent.listener.transfer(call, "failed", None, None)
            return
        call.agent.listener.transfer(call, "accepted" if response.code < 300 else "failed", response.code, None)

    def _named(self, replaced: Call) -> str:
        named = Replaces.of(replaced.dialog)
        return str(Replaces(named.call_id, "nobody", named.from_tag) if "bad-replaces" in self._call.agent.wrong else named)

    def notified(self, transaction: ServerTransaction, request: Request) -> None:
        """A NOTIFY about a transfer that we asked for."""
        if package_of(request) != "refer":
            transaction.respond(respond(request, 489))
            return
        transaction.respond(respond(request, 200))
        code = status_of(request.body)
        if code and code >= 200:
            self._call.agent.listener.transfer(self._call, "done" if code < 300 else "failed", code, None)

    def asked(self, transaction: ServerTransaction, request: Request) -> None:
        """Accept, call the target, and tell how it went (RFC 3515 §2.4)."""
        call = self._call
        try:
            to = ReferTo.only(request.headers.getlist("Refer-To"))
            placed = call.agent.call(call.account, to.target)
        except MessageError as error:
            transaction.respond(respond(request, 400, str(error)))
            return
        except TransportError as error:
            transaction.respond(respond(request, 503, str(error)))
            return
        response = respond(request, 202)
        response.contact = [call.dialog.contact]
        transaction.respond(response)
        call.agent.listener.transfer(call, "requested", None, str(to.target))
        placed.replaces = to.replaces
        placed.on_outcome = self._told
        call.agent.spawn(self._notify(100))
        call.agent.listener.outgoing(placed, str(to.target))
        placed.place(to.target, delayed=False)

    def _told(self, code: int) -> None:
        self._call.agent.spawn(self._notify(code))

    async def _notify(self, code: int) -> None:
        call = self._call
        if call.state == "terminated" or "no-notify" in call.agent.wrong:
            return
        request = call.dialog.request("NOTIFY")
        request.headers.set("Event", "refer")
        request.headers.set("Subscription-State", "active;expires=60" if code < 200 else "terminated;reason=noresource")
        set_body(request, SIPFRAG, f"SIP/2.0 {code} {PHRASES.get(code, 'Response')}\r\n".encode())
        try:
            await call.send(request)
        except SipError as error:
            call.agent.listener.trouble(f"NOTIFY: {error}")

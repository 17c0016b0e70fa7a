"""Where requests of others go: into a dialog, to a new call, or back with a refusal (RFC 3261 §8.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sipmessage import Request, Response

from .account import Account
from .call import Call
from .dialog import Dialog
from .exchange import ServerTransaction
from .fault import MessageError, SdpError, TransportError
from .handshake import SDP, unreadable
from .incoming import IncomingInvite, objection
from .message import ALLOW, EXTENSIONS, bare, new_tag, not_allowed, respond, tag_of
from .mwi import PACKAGE
from .subscription import MailboxSubscription, package_of
from .transfer import Replaces

if TYPE_CHECKING:
    from .user_agent import UserAgent

NEW = ("INVITE", "MESSAGE", "OPTIONS", "SUBSCRIBE")
"""Methods that may come outside a dialog."""


class Reception:
    """Sorts the requests of one user agent."""

    def __init__(self, agent: UserAgent) -> None:
        self._agent = agent

    def acknowledged(self, ack: Request) -> None:
        """An ACK that belongs to no refusal: of a 2xx."""
        for call in self._agent.calls:
            if call.dialog.matches(ack):
                call.acknowledged(ack)
                return

    def requested(self, transaction: ServerTransaction, request: Request) -> None:
        """Any other request."""
        unknown = sorted(set(request.require) - set(EXTENSIONS))
        if request.uri.scheme == "sips" and transaction.flow.transport != "tls":
            transaction.respond(respond(request, 403, "SIPS Over Insecure Hop", new_tag()))
        elif request.method == "CANCEL":
            self._cancel(transaction, request)
        elif self._agent.exchange.merged(transaction):
            transaction.respond(respond(request, 482, tag=new_tag()))
        elif unknown:
            response = respond(request, 420, tag=new_tag())
            response.headers.set("Unsupported", ", ".join(unknown))
            transaction.respond(response)
        elif tag_of(request.to_address):
            self._in_dialog(transaction, request)
        elif request.method in NEW:
            self._new(transaction, request)
        else:
            transaction.respond(not_allowed(request, new_tag()))

    def _cancel(self, transaction: ServerTransaction, request: Request) -> None:
        """200 with the tag of the INVITE's responses (RFC 3261 §9.2), 481 where there is no such INVITE."""
        invite = self._agent.exchange.invite_of(request)
        cancelled = [call for call in self._agent.calls if invite and call.incoming and call.incoming.transaction is invite]
        tag = tag_of(cancelled[0].dialog.local) if cancelled else new_tag()
        transaction.respond(respond(request, 200 if invite else 481, tag=tag))
        for call in cancelled:
            call.cancelled()

    def _in_dialog(self, transaction: ServerTransaction, request: Request) -> None:
        for call in list(self._agent.calls):
            if call.dialog.matches(request):
                call.receive(transaction, request)
                return
        for usage in list(self._agent.subscriptions):
            if usage.matches(request):
                usage.receive(transaction, request)
                return
        transaction.respond(respond(request, 481))

    def _new(self, transaction: ServerTransaction, request: Request) -> None:
        account = self._agent.account_for(request.uri.user)
        if request.method == "OPTIONS":
            self.asked(transaction, request)
        elif account is None:
            transaction.respond(respond(request, 404, tag=new_tag()))
        elif account.secure != (request.uri.scheme == "sips"):
            transaction.respond(_wrong_scheme(request, account))
        elif request.method == "MESSAGE":
            self.messaged(transaction, request)
        elif request.method == "SUBSCRIBE":
            self._subscribed(transaction, request, account)
        else:
            self._invited(transaction, request, account)

    def asked(self, transaction: ServerTransaction, request: Request) -> None:
        """OPTIONS, also within a dialog: what we can do (RFC 3261 §11.2)."""
        response = respond(request, 200, tag=new_tag())
        response.headers.set("Allow", ALLOW)
        response.headers.set("Accept", SDP)
        response.supported = list(EXTENSIONS)
        transaction.respond(response)

    def messaged(self, transaction: ServerTransaction, request: Request) -> None:
        """MESSAGE, also within a dialog (RFC 3428 §7)."""
        transaction.respond(respond(request, 200, tag=new_tag()))
        content_type = (request.headers.get("Content-Type") or "text/plain").split(";")[0]
        self._agent.listener.message(bare(request.from_address.uri), request.body.decode(errors="replace"), content_type)

    def _subscribed(self, transaction: ServerTransaction, request: Request, account: Account) -> None:
        """To the account's mailbox; another package is 489 (RFC 6665 §4.2.1.1)."""
        if package_of(request) != PACKAGE:
            response = respond(request, 489, tag=new_tag())
            response.headers.set("Allow-Events", PACKAGE)
            transaction.respond(response)
            return
        subscription = MailboxSubscription.of(self._agent, account, transaction, request)
        if not subscription.over:
            self._agent.subscriptions.append(subscription)

    # -- a call ----------------------------------------------------------------------------------------------------------------

    def _invited(self, transaction: ServerTransaction, request: Request, account: Account) -> None:
        """A new call, unless policy forbids it: then it is refused at once, and nobody is told (RFC 3264 §6, RFC 4568 §7.1.2)."""
        transaction.respond(respond(request, 100))
        dialog = Dialog.of_incoming(request, account.contact)
        try:
            call = Call(self._agent, account, dialog)
        except TransportError as error:
            self._agent.listener.trouble(f"INVITE refused: {error}")
            transaction.respond(respond(request, 486, tag=tag_of(dialog.local)))
            return
        call.incoming = IncomingInvite(call, transaction)
        refusal = objection(request, account, tag_of(call.dialog.local)) or self._unfit(request, call)
        replaced, code = self._replaced(request)
        if refusal is None and code is not None:
            refusal = respond(request, code, tag=tag_of(call.dialog.local))
        if refusal is not None:
            call.stream.close()
            transaction.respond(refusal)
            return
        call.state = "incoming"
        self._agent.calls.append(call)
        self._agent.listener.incoming(call, bare(request.from_address.uri), bare(request.to_address.uri))
        if replaced:
            call.respond(200)
            replaced.hang_up()

    def _unfit(self, request: Request, call: Call) -> Response | None:
        """415 for what is no offer, 488 for one that cannot be answered; changes nothing."""
        if refusal := unreadable(request, tag_of(call.dialog.local)):
            return refusal
        try:
            if request.body:
                call.negotiation.check_offer(request.body)
        except SdpError as error:
            self._agent.listener.trouble(f"INVITE refused: {error}")
            return respond(request, 488, tag=tag_of(call.dialog.local))
        return None

    def _replaced(self, request: Request) -> tuple[Call | None, int | None]:
        """The call whose place an INVITE takes, which is answered at once and that one ended; or the refusal's code (RFC 3891 §3)."""
        values = request.headers.getlist("Replaces")
        if not values:
            return None, None
        try:
            wanted = Replaces.parse(values[0])
        except MessageError as error:
            self._agent.listener.trouble(str(error))
            return None, 400
        found = next((call for call in self._agent.calls if wanted.names(call.dialog)), None)
        if len(values) > 1:
            return None, 400
        if found is None:
            return None, 481
        if found.established and wanted.early_only:
            return None, 486
        return (found, None) if found.established or found.outgoing else (None, 481)


def _wrong_scheme(request: Request, account: Account) -> Response:
    """480 with the warning that says which scheme it takes (RFC 5630 §5.1.1, §6.2)."""
    text = "SIPS Required" if account.secure else "SIPS Not Allowed"
    response = respond(request, 480, text, new_tag())
    response.headers.set("Warning", f'{381 if account.secure else 380} {account.host} "{text}"')
    return response

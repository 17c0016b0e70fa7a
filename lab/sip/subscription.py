"""Events (RFC 6665): a subscription of ours, and one that somebody has to a mailbox here (RFC 3842)."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sipmessage import URI, Address, Parameters, Request, Response

from .account import Account
from .dialog import Dialog
from .exchange import ServerTransaction
from .fault import MessageError, SipError
from .message import ALLOW, bare, new_tag, not_allowed, respond, set_body, tag_of
from .mwi import CONTENT_TYPE, PACKAGE

if TYPE_CHECKING:
    from .user_agent import UserAgent

MARGIN = 5.0
"""Seconds before its end at which a subscription is refreshed, at most half its length."""
LONGEST = 3600
"""Seconds that a subscriber gets at most, and where he asks for none (RFC 3842 §3.4)."""


def package_of(message: Request) -> str:
    """The event package, in lower case, without parameters."""
    value = message.headers.get("Event") or message.headers.get("o") or ""
    return value.split(";")[0].strip().lower()


@dataclass(frozen=True)
class SubscriptionState:
    """A Subscription-State header (§8.2.3)."""

    name: str
    expires: int | None = None

    @classmethod
    def parse(cls, text: str) -> SubscriptionState:
        """MessageError where it is empty."""
        name, *rest = (part.strip() for part in text.split(";"))
        if not name:
            raise MessageError("no Subscription-State")
        parameters = dict(part.split("=", 1) for part in rest if "=" in part)
        expires = parameters.get("expires", "")
        return cls(name.lower(), int(expires) if re.fullmatch(r"\d{1,9}", expires) else None)


class Usage:
    """What both sides share: a dialog, a timer, an end."""

    def __init__(self, agent: UserAgent, account: Account, dialog: Dialog) -> None:
        self.agent, self.account, self.dialog = agent, account, dialog
        self.over = False
        self._timer: asyncio.TimerHandle | None = None

    def matches(self, request: Request) -> bool:
        """A request of the other side within its dialog."""
        return self.dialog.matches(request)

    def close(self) -> None:
        """It is over: no timer, no dialog."""
        self.over = True
        self._stop()
        self.agent.release(self)

    def _stop(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None

    async def _send(self, request: Request, next_hop: URI) -> Response:
        """To its final response; challenges may have used up further sequence numbers."""
        try:
            return await self.agent.dispatch.submit(request, self.account, next_hop)
        finally:
            self.dialog.sequence = max(self.dialog.sequence, request.cseq.sequence)

    def _newer(self, transaction: ServerTransaction, request: Request) -> bool:
        """False, and answered 500, for one that is older than what was seen (RFC 3261 §12.2.2)."""
        if request.cseq.sequence <= self.dialog.remote_sequence:
            transaction.respond(respond(request, 500))
            return False
        self.dialog.remote_sequence = request.cseq.sequence
        return True

    def receive(self, transaction: ServerTransaction, request: Request) -> None:
        """A request of the other side."""
        raise NotImplementedError


class Subscription(Usage):
    """Ours. Every state that a NOTIFY brings is told; `terminated` also where the notifier refuses or says nothing."""

    def __init__(self, agent: UserAgent, account: Account, target: URI, package: str, expires: int) -> None:
        local = Address(uri=account.aor, parameters=Parameters(tag=new_tag()))
        super().__init__(agent, account, Dialog(new_tag() + new_tag(), local, Address(uri=target), target, account.contact))
        self._package, self._expires = package, expires
        self._notified = False

    def start(self) -> None:
        """SUBSCRIBE."""
        self.agent.spawn(self._subscribe())

    async def _subscribe(self) -> None:
        request = self.dialog.request("SUBSCRIBE")
        if not tag_of(self.dialog.remote):
            request.route = [self.account.route]
        request.headers.set("Event", self._package)
        request.expires = self._expires
        request.headers.set("Allow", ALLOW)
        if self._package == PACKAGE:
            request.headers.set("Accept", CONTENT_TYPE)
        next_hop = self.dialog.next_hop if tag_of(self.dialog.remote) else self.account.hop
        try:
            response = await self._send(request, next_hop)
        except SipError as error:
            self._end(str(error))
            return
        if response.code >= 300:
            self._end(f"SUBSCRIBE: {response.code} {response.phrase}")
            return
        if tag_of(self.dialog.remote):
            self.dialog.refresh(response)
        else:
            self.dialog.learn(response)
        if not self.over:
            self._wait(response.expires if response.expires is not None else self._expires)

    def _wait(self, granted: int) -> None:
        """Until the next refresh, or until the first NOTIFY is overdue (timer N, §4.1.2.4)."""
        self._stop()
        loop, timeout = asyncio.get_running_loop(), self.agent.exchange.timing.timeout
        if granted and self._notified:
            self._timer = loop.call_later(max(granted / 2, granted - MARGIN), self.start)
        else:
            self._timer = loop.call_later(timeout, self._end, f"no NOTIFY within {timeout:g} s (RFC 6665 §4.1.2.4)")

    def _end(self, why: str) -> None:
        if not self.over:
            self.agent.listener.trouble(f"subscription to {self._package}: {why}")
            self.agent.listener.notified(self, "terminated", None, None)
            self.close()

    def matches(self, request: Request) -> bool:
        """A NOTIFY may overtake the 2xx to its SUBSCRIBE, and then makes the dialog (§4.4.1)."""
        unknown = not tag_of(self.dialog.remote)
        theirs = (request.call_id, tag_of(request.to_address)) == (self.dialog.call_id, tag_of(self.dialog.local))
        return theirs if unknown and request.method == "NOTIFY" else self.dialog.matches(request)

    def receive(self, transaction: ServerTransaction, request: Request) -> None:
        """NOTIFY, and nothing else."""
        if request.method != "NOTIFY":
            transaction.respond(not_allowed(request))
            return
        if not self._newer(transaction, request):
            return
        try:
            state = SubscriptionState.parse(request.headers.get("Subscription-State") or "")
        except MessageError as error:
            transaction.respond(respond(request, 400, str(error)))
            return
        if package_of(request) != self._package.split(";")[0].lower():
            transaction.respond(respond(request, 489))
            return
        self._adopt(request)
        transaction.respond(respond(request, 200))
        content = (request.headers.get("Content-Type") or request.headers.get("c") or "").split(";")[0] if request.body else None
        self.agent.listener.notified(self, state.name, content, request.body.decode(errors="replace") if request.body else None)
        if state.name == "terminated":
            self.close()
        else:
            self._wait(self._expires if state.expires is None else state.expires)

    def _adopt(self, request: Request) -> None:
        self._notified = True
        if not tag_of(self.dialog.remote):
            self.dialog.remote, self.dialog.routes = request.from_address, request.record_route
        self.dialog.refresh(request)


class MailboxSubscription(Usage):
    """Theirs: a NOTIFY at once, after every change and refresh, and at the end."""

    @classmethod
    def of(cls, agent: UserAgent, account: Account, transaction: ServerTransaction, request: Request) -> MailboxSubscription:
        """A new one, answered and notified."""
        found = cls(agent, account, Dialog.of_incoming(request, account.contact))
        found.dialog.remote_sequence = -1
        found.receive(transaction, request)
        return found

    def receive(self, transaction: ServerTransaction, request: Request) -> None:
        """SUBSCRIBE: the first, a refresh, or with Expires 0 the end."""
        if request.method != "SUBSCRIBE":
            transaction.respond(not_allowed(request))
            return
        if not self._newer(transaction, request):
            return
        self.dialog.refresh(request)
        granted = LONGEST if request.expires is None else max(0, min(request.expires, LONGEST))
        response = respond(request, 200, tag=tag_of(self.dialog.local))
        response.contact = [self.dialog.contact]
        response.expires = granted
        transaction.respond(response)
        self._stop()
        self._until = asyncio.get_running_loop().time() + granted
        if granted:
            self._timer = asyncio.get_running_loop().call_later(granted, self.notify)
        self.notify()

    def notify(self) -> None:
        """Tell what is in the mailbox; for the last time where the subscription's time is over."""
        left = self._until - asyncio.get_running_loop().time()
        state = f"active;expires={round(left)}" if left > 0.5 else "terminated;reason=timeout"
        if "no-notify" not in self.agent.wrong:
            self.agent.spawn(self._notify(state))
        if left <= 0.5:
            self.close()

    async def _notify(self, state: str) -> None:
        request = self.dialog.request("NOTIFY")
        request.headers.set("Event", PACKAGE)
        request.headers.set("Subscription-State", state)
        set_body(request, CONTENT_TYPE, self.agent.mailbox(self.account).summary(bare(self.account.aor)))
        try:
            response = await self._send(request, self.dialog.next_hop)
        except SipError as error:
            self.agent.listener.trouble(f"NOTIFY: {error}")
            self.close()
            return
        if response.code >= 300:
            self.agent.listener.trouble(f"NOTIFY: {response.code} {response.phrase}")
            self.close()

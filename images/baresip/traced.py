"""What both agents tell: the facts that only baresip's SIP trace has (source `log`), and what follows from them."""

from __future__ import annotations

import re

from siplab_agent import Account, Agent, Call
from siptext import Message, bare

OUTCOME_WITHIN = 4.0
"""Seconds that a local hang-up waits for the answer to its BYE or CANCEL before it is told without a code."""


class TracedEvents(Agent):
    """An agent that is shown every SIP message of its software. A call's `native` is its Call-ID; an account's `native` has `granted`,
    `flows` (Call-ID → reg-id) and those that are `up`."""

    def on_message(self, message: Message) -> None:
        """A SIP message that baresip sent or received."""
        handler = getattr(self, f"_traced_{message.method.lower()}", None)
        if handler:
            handler(message)

    def traced_call(self, message: Message) -> Call | None:
        """The call that a message belongs to."""
        return next((call for call in self.calls.values() if call.native == message.call_id), None)

    def account_of(self, aor: str) -> Account | None:
        """The account of that address of record."""
        return next((account for account in self.accounts.values() if account.aor == aor), None)

    def _traced_register(self, message: Message) -> None:
        account = self.account_of(bare(message.headers.get("to", "")))
        if account is None:
            return
        if message.sent and (named := re.search(r";\s*reg-id=(\d+)", message.headers.get("contact", ""))):
            account.native.flows[message.call_id] = int(named[1])
        elif not message.sent and message.final:
            account.native.granted = message.expires if message.code < 300 else account.native.granted
            self._answered(account, message)

    def _answered(self, account: Account, message: Message) -> None:
        """Of several flows the trace alone says which one was answered: each registers with a Call-ID of its own."""
        flow, up = account.native.flows.get(message.call_id), account.native.up
        if len(account.hops) == 1 or flow is None or account is not self.accounts.get(account.id):
            return
        is_new = message.code < 300 and flow not in up
        (up.add if message.code < 300 else up.discard)(flow)
        account.native.registered = bool(up)
        if is_new or message.code >= 300:
            members = {"code": message.code, "reason": message.reason, "expires": message.expires if is_new else None}
            self.registration(account, "registered" if is_new else "failed", source="log", flow=flow, **members)

    def unanswered(self, account: Account, code: int | None, reason: str | None) -> None:
        """One of several flows failed; nothing says which where nobody answered."""
        if code is None:
            self.registration(account, "failed", reason=reason)

    def _traced_invite(self, message: Message) -> None:
        call = self.traced_call(message)
        if call is None:
            return
        if not message.sent and message.direction:
            call.extra["peer_direction"] = message.direction
        if message.sent != call.incoming or not message.code:
            return
        if call.incoming:
            call.extra["final"] = message.code if message.code >= 300 else None
        elif 100 < message.code < 200:
            call.extra["provisional"] = message.code
        if call.pending and call.extra.get("closing") and message.code >= 300 and message.final:
            self.call_state(call, "terminated", message.code, message.reason, source="log")

    def _traced_bye(self, message: Message) -> None:
        call = self.traced_call(message)
        if call is None:
            return
        if message.sent and message.code:
            call.extra["final"] = message.code
        elif not message.sent and message.final and call.extra.get("closing"):
            self.call_state(call, "terminated", message.code, message.reason, source="log")

    def _traced_refer(self, message: Message) -> None:
        call = self.traced_call(message)
        if call and not message.sent and 200 <= message.code < 300:
            self.emit("transfer", source="log", call=call.id, state="accepted", code=message.code, target=call.extra.get("refer"))

    def closing(self, call: Call) -> None:
        """We hang up: told with the answer to our BYE or CANCEL, or with our refusal, else after OUTCOME_WITHIN without a code."""
        call.extra["closing"] = True
        self.after(OUTCOME_WITHIN, lambda: self._give_up_waiting(call))

    def _give_up_waiting(self, call: Call) -> None:
        self.call_state(call, "terminated", reason=f"hung up, and nothing was seen of it within {OUTCOME_WITHIN} s")

    def tell_media(self, call: Call, direction: str) -> None:
        """Our direction and the encryption in use; nothing where that has been told already."""
        media = call.account.media
        encryption = "none" if media == "rtp" else media if call.extra.get("encrypted") else None
        told = (direction, encryption)
        if call.extra.get("told") != told:
            call.extra["told"] = told
            self.emit("call.media", call=call.id, direction=direction, encryption=encryption)


def status(text: str) -> tuple[int | None, str | None]:
    """`404 Not Found` → (404, "Not Found"); a system error is a reason without a code."""
    found = re.match(r"([1-6]\d\d)\b\s*(.*)", text.strip())
    return (int(found[1]), found[2]) if found else (None, text.strip() or None)

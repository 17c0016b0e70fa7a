"""REFER (RFC 3515), with Replaces (RFC 3891): asked for, and asked of us."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from siplab_agent import BadState, Call, Refused, log

from .calls import replaces
from .trace import Message

if TYPE_CHECKING:
    from .__main__ import AsteriskAgent

_PROGRESS = {"done": "channel_answered", "failed": "channel_unavailable"}


class Transfers:
    """Both ends of a transfer. Asterisk leaves an incoming REFER to us (`ari-only`)."""

    def __init__(self, agent: AsteriskAgent) -> None:
        self._agent = agent

    def ask(self, call: Call, target: str, replaced: Call | None) -> None:
        """Send REFER."""
        if not call.answered:
            raise BadState(f"{call.id} is {call.state}, not established")
        if replaced is not None:
            target += "?Replaces=" + quote(replaces(replaced.native.dialog), safe="")
        self._agent.ari.request("POST", f"channels/{call.native.channel}/redirect", endpoint=f"PJSIP/{target}")

    def message(self, call: Call, message: Message) -> None:
        """What the trace shows of a transfer that we asked for, and the target of one that is asked of us."""
        if message.method == "REFER" and message.status is None and not message.sent:
            self._asked(call, message.uri("refer-to"))
        elif message.method == "REFER" and message.status and not message.sent and message.status not in (401, 407):
            state = "accepted" if message.status < 300 else "failed"
            self._agent.emit("transfer", call=call.id, state=state, code=message.status)
        elif message.method == "NOTIFY" and message.status is None and not message.sent:
            self._notified(call, message.body)

    def _notified(self, call: Call, fragment: str) -> None:
        """The body is the start of a response (RFC 3420)."""
        parts = fragment.split(" ", 2)
        if parts[0] == "SIP/2.0" and len(parts) > 1 and parts[1].isdigit() and int(parts[1]) >= 200:
            code = int(parts[1])
            self._agent.emit("transfer", call=call.id, state="done" if code < 300 else "failed", code=code)

    def _asked(self, call: Call, target: str) -> None:
        """Accept, and call who was named: the new call's id is seen in its first state."""
        self._agent.emit("transfer", call=call.id, state="requested", target=target)
        address, _, headers = target.partition("?")
        fields = dict(part.partition("=")[::2] for part in headers.split("&") if part)
        new = Call(self._agent.new_id("c"), call.account, incoming=False, target=address)
        self._agent.calls[new.id] = new
        try:
            replaced = {name: _line(value) for name, value in fields.items() if name.lower() == "replaces"}
            self._agent.calling.dial(new, address, replaced)
        except Refused as refused:
            log(f"{call.id}: transfer to {target!r}: {refused}")
            del self._agent.calls[new.id]
            self.progress(call, "failed", None)
            return
        new.native.transfers = call
        self._agent.call_state(new, "calling")
        self._agent.emit("transfer", call=call.id, state="accepted", code=202)

    def progress(self, call: Call, state: str, code: int | None) -> None:
        """Tell the one who asked what became of it, by NOTIFY."""
        self._agent.emit("transfer", call=call.id, state=state, code=code)
        if call.live:
            self._agent.ari.request("POST", f"channels/{call.native.channel}/transfer_progress", states=_PROGRESS[state])


def _line(escaped: str) -> str:
    """A header's value out of a URI. Whoever sent it must not add headers of their own to our INVITE (RFC 3261 §19.1.5)."""
    value = unquote(escaped)
    if re.search(r"[\x00-\x1f\x7f]", value):
        raise Refused(f"Refer-To has control characters in a header: {value[:80]!r}")
    return value

"""The agent of SIPp: tells two scenarios per account what to do next."""

from __future__ import annotations

import os
import re
import secrets
import time
import uuid
from dataclasses import dataclass, field
from functools import partial

from siplab_agent import Account, BadParams, Call, Refused, expect

from .events import SippEvents
from .media import Sound, Studio
from .process import Sipp, argv
from .scenarios import REFUSALS

REASONS = {404: "Not Found", 480: "Temporarily Unavailable", 486: "Busy Here", 488: "Not Acceptable Here", 503: "Service Unavailable"}
"""Where the lab gives no reason."""
NO_ANSWER = 32.0
"""Seconds: Timer F of RFC 3261 §17.1.2. SIPp gives up without telling anybody."""
LEAVE_WITHIN = 0.3
"""Seconds that `reset` waits for the answers to its BYEs."""
RELAY = "Signal={digit}\r\nDuration=160\r\n"


@dataclass
class Line:
    """What an account has: its processes, and whether it un-registers."""

    number: int
    callee: Sipp
    caller: Sipp
    asked: dict[str, str] = field(default_factory=dict)
    """Call-IDs of transactions that are not answered yet, and what they are for."""


class SippAgent(SippEvents):
    """Two SIPp processes per account."""

    vendor = "sipp"
    capabilities = frozenset(
        {"udp", "digest-md5", "digest-sha-256", "invite", "cancel", "busy", "reject-any", "redirect", "hold", "delayed-offer-uas"}
        | {"dtmf-rfc4733", "dtmf-info", "message"}
    )

    # ---- the processes ----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """SIPp knows its account from its start only, and so is started for each."""
        os.makedirs(self.config.recordings, exist_ok=True)
        self.studio = Studio()

    def version(self) -> str:
        """As `sipp -v` says it, without what it was built with."""
        said = self.output_of(["sh", "-c", "sipp -v || true"])  # it ends with 99 whatever it said
        found = re.search(r"SIPp v([\d.]+)", said)
        if not found:
            raise RuntimeError("sipp -v does not tell a version")
        return found[1]

    def stop(self) -> None:
        """End all processes."""
        for account in self.accounts.values():
            self._end(account)

    def reset(self) -> None:
        """End calls politely, as far as LEAVE_WITHIN allows, then all processes."""
        leaving = [call for call in self.calls.values() if call.answered]
        for call in list(self.calls.values()):
            if call.answered:
                self._command(call, "bye")
            self.drop(call)
        deadline = time.monotonic() + LEAVE_WITHIN
        while any(call.live for call in leaving) and (left := deadline - time.monotonic()) > 0:
            self.pump(left)
        self.stop()

    def _end(self, account: Account) -> None:
        if account.native:
            account.native.callee.end()
            account.native.caller.end()

    # ---- accounts ---------------------------------------------------------------------------------------------------

    def account_add(self, account: Account) -> None:
        """Two processes that wait."""
        if re.search(r"[\[\]\s\"<>]", account.username + account.password + account.aor):
            raise BadParams("username, password, aor: SIPp's scenarios cannot hold brackets, blanks or quotation marks")
        taken = {other.native.number for other in self.accounts.values() if other.native}
        number = next(number for number in range(len(taken) + 1) if number not in taken)
        pair: list[Sipp] = []
        try:
            for name, incoming in (("callee", True), ("caller", False)):
                command = argv(account, self.config, number, incoming)
                pair.append(Sipp(self, f"sipp-{name}-{account.id}", command, incoming, lambda told: self.heard(account, told)))
        except OSError:
            for sipp in pair:
                sipp.end()
            raise
        account.native = Line(number, *pair)

    def account_remove(self, account: Account) -> None:
        """End them."""
        for call in [call for call in self.calls.values() if call.account is account]:
            self.drop(call)
            self.call_state(call, "terminated", reason="account removed")
        self._end(account)

    def register(self, account: Account, expires: int | None) -> None:
        """REGISTER, and once more with credentials."""
        self._register(account, "register", expires or account.expires)

    def unregister(self, account: Account) -> None:
        """REGISTER with Expires: 0."""
        self._register(account, "unregister", 0)

    def _register(self, account: Account, purpose: str, expires: int) -> None:
        call_id = self._ask(account, purpose)
        account.native.caller.command(call_id, "register", target=f"sip:{account.domain}", line=str(expires))

    def _ask(self, account: Account, purpose: str) -> str:
        call_id = f"{uuid.uuid4()}@{self.config.ipv4}"
        account.native.asked[call_id] = purpose
        self.after(NO_ANSWER, lambda: self.over(account, call_id, None))
        return call_id

    # ---- calls ------------------------------------------------------------------------------------------------------

    def call_invite(self, call: Call, target: str, offer: str) -> None:
        """INVITE with an offer."""
        call.native = f"{uuid.uuid4()}@{self.config.ipv4}"
        self.furnish(call)
        call.extra["sipp"] = call.account.native.caller
        call.extra["cseq"] = 2  # the INVITE, and its repetition with credentials
        call.extra["token"] = secrets.token_hex(8)
        call.account.native.caller.command(call.native, "invite", self.sound(call).offer(), target=target, token=call.extra["token"])

    def call_ring(self, call: Call) -> None:
        """180."""
        expect(call, call.incoming and call.pending, "ring")
        self._command(call, "ring")

    def call_answer(self, call: Call) -> None:
        """200 with the answer; 488 where the offer has nothing that we can take."""
        expect(call, call.incoming and call.pending, "answer")
        try:
            answer = self.sound(call).answer(call.extra["offer"])
        except Refused:
            self.call_reject(call, 488, None)
            raise
        self._command(call, "answer", answer)

    def call_reject(self, call: Call, code: int, reason: str | None) -> None:
        """Any code."""
        expect(call, call.incoming and call.pending, "reject")
        if code not in REFUSALS:
            raise Refused(f"code: {code} is not in SIPp's scenario, which has the registered ones")
        self._command(call, str(code), line=f"{code} {reason or REASONS.get(code, 'Rejected')}", extra="Server: SIPp")

    def call_redirect(self, call: Call, contact: str) -> None:
        """302."""
        expect(call, call.incoming and call.pending, "redirect")
        self._command(call, "302", line="302 Moved Temporarily", extra=f"Contact: <{contact}>")

    def call_cancel(self, call: Call) -> None:
        """CANCEL, with the token of the INVITE: they share a branch (RFC 3261 §9.1)."""
        expect(call, not call.incoming and call.pending, "cancel")
        self._command(call, "cancel", token=call.extra["token"])
        call.extra["closing"] = True

    def call_bye(self, call: Call) -> None:
        """BYE."""
        expect(call, call.answered, "end")
        self._command(call, "bye")
        call.extra["closing"] = True

    def call_hold(self, call: Call) -> None:
        """re-INVITE sendonly."""
        expect(call, call.answered and call.state != "held", "hold")
        self._reinvite(call, "sendonly")

    def call_resume(self, call: Call) -> None:
        """re-INVITE sendrecv."""
        expect(call, call.state == "held", "resume")
        self._reinvite(call, "sendrecv")

    def _reinvite(self, call: Call, direction: str) -> None:
        sound = self.sound(call)
        sound.negotiation.direction = direction
        sound.stream.muted = direction == "sendonly"
        self._command(call, "reinvite", sound.offer())

    def call_dtmf(self, call: Call, digits: str, via: str) -> None:
        """RTP events of ours, or INFO of SIPp's, one after another."""
        expect(call, call.answered, "send digits")
        if via == "rfc4733":
            self.sound(call).press(digits)
            return
        for position, digit in enumerate(digits):
            self.after(0.2 * position, lambda digit=digit: self._info(call, digit))  # type: ignore[misc]

    def _info(self, call: Call, digit: str) -> None:
        if call.live and not self.dead:
            self._command(call, "info", RELAY.format(digit=digit).encode())

    def _command(self, call: Call, do: str, body: bytes = b"", **members: str) -> None:
        call.extra["cseq"] = call.extra.get("cseq", 0) + 1
        call.extra["sipp"].command(call.native, do, body, number=str(call.extra["cseq"]), **members)

    # ---- messages and media -----------------------------------------------------------------------------------------

    def message_send(self, message: str, account: Account, target: str, body: str, content_type: str) -> None:
        """MESSAGE, and once more with credentials."""
        account.native.caller.command(self._ask(account, message), "message", body.encode(), target=target, line=content_type)

    def media_play(self, call: Call, tone_hz: int) -> None:
        """Another tone, or silence."""
        expect(call, call.answered, "play")
        self.sound(call).stream.hz = tone_hz

    def media_record(self, recording: str, path: str, call: Call, seconds: float) -> None:
        """What the stream receives."""
        expect(call, call.answered, "record")
        self.sound(call).recorder.start(path, seconds, partial(self.recorded, call, recording))

    def stats(self, call: Call | None) -> dict[str, int]:
        """RTP packets."""
        if call is None:
            return {}
        stream = self.sound(call).stream
        return {"rx_packets": stream.received, "tx_packets": stream.sent}

    def furnish(self, call: Call) -> None:
        """Give a call its sound."""
        call.extra["sound"] = Sound(
            self.studio, self.config, lambda digit: self.emit("call.dtmf", call=call.id, digit=digit, via="rfc4733")
        )

"""The agent: the contract's methods as requests to ARI, ARI's events and the trace as the contract's events."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from functools import partial
from typing import Any

from siplab_agent import Account, Agent, BadState, Call, Refused

from . import settings
from .ari import Ari
from .audio import AudioServer
from .calls import Calls
from .trace import Message, Trace
from .transfers import Transfers

READY_WITHIN = 15.0
UNREGISTERED_WITHIN = 5.0
DEAF_FOR = 1.0
"""Seconds from the end of ARI's events to that of Asterisk's process, where it ends."""
KEYLOG = "/usr/lib/siplab-keylog.so"
_REFUSED = re.compile(r"(?:response '(\d+)'|(403) Forbidden fatal response|'(\d+)' fatal response) received .* attempt to '([^']*)'")
_SILENT = re.compile(r"No response received .* attempt to '([^']*)'|Fatal registration attempt to '([^']*)'")


CAPABILITIES = frozenset(
    {
        *("udp", "tcp", "tls", "tls-server-name", "mtls", "ipv6", "digest-md5", "digest-sha-256", "srv", "naptr"),
        *("invite", "cancel", "busy", "reject-any", "redirect", "hold", "delayed-offer-uas", "prack", "update", "session-timer"),
        *("srtp-sdes", "srtp-dtls", "ice", "dtmf-rfc4733", "dtmf-info", "message", "refer", "refer-replaces"),
    }
)


@dataclass(eq=False)
class Registration:
    """What was asked of an account and is not answered yet, and the Call-ID that its REGISTERs have."""

    asked: str = ""
    call_id: str = ""
    there: bool = False


class AsteriskAgent(Agent):
    """Asterisk as a user agent: every call is a channel of its own, bridged with the audio that the agent makes and hears."""

    vendor = "asterisk"
    capabilities = CAPABILITIES

    def start(self) -> None:
        """Configure and start Asterisk; from the end of it on, the application takes calls."""
        settings.write_files(self.config)
        own = [address for address in (self.config.ipv4, self.config.ipv6) if address]
        self._trace = Trace(own, lambda message: self.post(lambda: self._message(message)))
        self._trace.listen()
        self.audio = AudioServer()
        self.ari = Ari(lambda event: self.post(lambda: self._event(event)), self._deaf)
        self.calling, self.transfers = Calls(self), Transfers(self)
        self._messages: list[tuple[str, str, str]] = []
        self._sent: dict[str, str] = {}
        self._ready = threading.Event()
        self._asterisk = self.spawn(
            ["asterisk", "-f", "-n"], name="asterisk", env=self._environment(), on_line=self._line, on_exit=self._exited
        )
        self._ready.wait(READY_WITHIN)
        if not self._asterisk.alive:
            raise Refused("Asterisk ended while it started: its log says why")
        if not self._ready.is_set():
            raise Refused(f"Asterisk was not ready within {READY_WITHIN:g} s")
        self.ari.listen()

    def _exited(self, returncode: int) -> None:
        self._child_died("asterisk", returncode)
        self._ready.set()

    def _deaf(self, why: str) -> None:
        """An Asterisk that goes on without telling anything is as good as none. Where it has ended, its process tells."""
        if not self._asterisk.expected and not self._asterisk.done.wait(DEAF_FOR):
            self.software_died(f"ARI tells no events any more: {why}")
            self.post(lambda: None)

    def _environment(self) -> dict[str, str]:
        return {"LD_PRELOAD": KEYLOG, "SSLKEYLOGFILE": self.config.keylog} if self.config.keylog else {}

    def version(self) -> str:
        """Asterisk's own, with Debian's revision."""
        return self.output_of(["asterisk", "-V"]).split()[1]

    def stop(self) -> None:
        """End calls and registrations, then Asterisk."""
        self._asterisk.expected = True
        self.reset()
        self._asterisk.end(2.0)

    def reset(self) -> None:
        """Every call ended, every account gone."""
        for call in list(self.calls.values()):
            self.calling.end(call)
        for account in self.accounts.values():
            self.account_remove(account)

    # ---- accounts ---------------------------------------------------------------------------------------------------

    def account_add(self, account: Account) -> None:
        """Credentials and endpoint."""
        account.native = Registration()
        self.ari.put_object("auth", account.id, settings.auth(account))
        self.ari.put_object("endpoint", account.id, settings.endpoint(account))

    def account_remove(self, account: Account) -> None:
        """With its binding; the credentials stay until that is taken back, for a challenge to the REGISTER."""
        account.native.asked = ""
        for kind in ("registration", "endpoint"):
            self.ari.drop_object(kind, account.id)
        self.after(UNREGISTERED_WITHIN, lambda: self.ari.drop_object("auth", account.id))

    def register(self, account: Account, expires: int | None) -> None:
        """The outcome is in the trace, or in the log where no answer came."""
        account.native.asked = "register"
        if account.native.there:
            self._command(f"pjsip send register {account.id}")
            return
        account.native.call_id = ""
        account.native.there = True
        self.ari.put_object("registration", account.id, settings.registration(account, expires or account.expires))

    def unregister(self, account: Account) -> None:
        """Without its registration object an account has no binding."""
        if not account.native.there:
            raise BadState(f"{account.id} is not registered")
        account.native.asked, account.native.there = "unregister", False
        self.ari.drop_object("registration", account.id)

    def _command(self, line: str) -> None:
        self.output_of(["asterisk", "-rx", line], timeout=3)

    # ---- calls ------------------------------------------------------------------------------------------------------

    def call_invite(self, call: Call, target: str, offer: str) -> None:
        """A channel towards the account's proxy."""
        self.calling.dial(call, target)

    def call_ring(self, call: Call) -> None:
        """180."""
        self._pending(call)
        self.ari.request("POST", f"channels/{call.native.channel}/ring")

    def call_answer(self, call: Call) -> None:
        """200; established is told with the ACK."""
        self._pending(call)
        self.ari.request("POST", f"channels/{call.native.channel}/answer")

    def call_reject(self, call: Call, code: int, reason: str | None) -> None:
        """Any code, by the dialplan: ARI itself knows causes only. The reason phrase is Asterisk's."""
        self._pending(call)
        self.ari.request("POST", f"channels/{call.native.channel}/continue", context="reject", extension=code, priority=1)

    def call_redirect(self, call: Call, contact: str) -> None:
        """302: what a transfer is before the answer."""
        self._pending(call)
        self.ari.request("POST", f"channels/{call.native.channel}/redirect", endpoint=f"PJSIP/{contact}")

    def call_cancel(self, call: Call) -> None:
        """The channel hangs up; the end is told with the 487."""
        if call.incoming or not call.pending:
            raise BadState(f"{call.id} is {call.state}: nothing to cancel")
        self.calling.end(call)

    def call_bye(self, call: Call) -> None:
        """The channel hangs up."""
        if not call.answered:
            raise BadState(f"{call.id} is {call.state}, not established")
        self.calling.end(call)

    def call_hold(self, call: Call) -> None:
        """Re-INVITE with sendonly."""
        self.calling.hold(call, True)

    def call_resume(self, call: Call) -> None:
        """Re-INVITE with sendrecv."""
        self.calling.hold(call, False)

    def call_refer(self, call: Call, target: str, replaces: Call | None) -> None:
        """REFER, its Refer-To with Replaces where a call is to be replaced."""
        self.transfers.ask(call, target, replaces)

    def call_dtmf(self, call: Call, digits: str, via: str) -> None:
        """As RTP events or by INFO."""
        if not call.answered:
            raise BadState(f"{call.id} is {call.state}, not established")
        leg = call.native
        if via != leg.digits_via:
            self.ari.request("POST", f"channels/{leg.channel}/variable", variable="PJSIP_DTMF_MODE()", value=via)
            leg.digits_via = via
        self.ari.request("POST", f"channels/{leg.channel}/dtmf", dtmf=digits)

    @staticmethod
    def _pending(call: Call) -> None:
        if not call.incoming or not call.pending:
            raise BadState(f"{call.id} is {call.state}")

    # ---- messages ---------------------------------------------------------------------------------------------------

    def message_send(self, message: str, account: Account, target: str, body: str, content_type: str) -> None:
        """MESSAGE; the trace has its outcome."""
        self._messages.append((message, target, body))
        self.ari.request(
            "PUT",
            "endpoints/sendMessage",
            {"variables": {"Content-Type": content_type}, "body": body},
            to=f"pjsip:{account.id}/{target}",
            **{"from": account.aor},
        )

    # ---- media ------------------------------------------------------------------------------------------------------

    def media_play(self, call: Call, tone_hz: int) -> None:
        """Another tone."""
        self._line_of(call).tone_hz = tone_hz

    def media_record(self, recording: str, path: str, call: Call, seconds: float) -> None:
        """What is received from now on."""
        self._line_of(call).recorder.start(path, seconds, partial(self.recorded, call, recording))

    @staticmethod
    def _line_of(call: Call) -> Any:
        if call.native.line is None:
            raise BadState(f"{call.id} is {call.state}: it has no audio")
        return call.native.line

    def stats(self, call: Call | None) -> dict[str, Any]:
        """Packets of an answered call."""
        if call is None or not call.answered:
            return {}
        found = self.ari.request("GET", f"channels/{call.native.channel}/rtp_statistics")
        return {"rx_packets": found.get("rxcount"), "tx_packets": found.get("txcount")}

    # ---- what Asterisk tells ----------------------------------------------------------------------------------------

    def _event(self, event: dict[str, Any]) -> None:
        handlers = {
            "StasisStart": self.calling.stasis_start,
            "ChannelDestroyed": self.calling.channel_destroyed,
            "ChannelDtmfReceived": self.calling.dtmf_received,
            "TextMessageReceived": self._text,
        }
        if event["type"] in handlers:
            handlers[event["type"]](event)

    def _text(self, event: dict[str, Any]) -> None:
        message = event["message"]
        found = re.search(r"<([^>]*)>", message["from"])
        self.emit("message.received", **{"from": found[1] if found else message["from"]}, body=message["body"])

    def _message(self, message: Message) -> None:
        if message.method == "REGISTER":
            self._registering(message)
        elif message.method == "MESSAGE":
            self._messaging(message)
        else:
            self.calling.message(message)

    def _registering(self, message: Message) -> None:
        if message.sent:
            for account in self.accounts.values():
                if account.aor == message.uri("from") and account.native.asked and not account.native.call_id:
                    account.native.call_id = message.call_id
            return
        account = next((a for a in self.accounts.values() if a.native.call_id == message.call_id), None)
        if account is None or message.status is None or not account.native.asked:
            return
        if message.status == 200:
            expires = re.search(r"expires=(\d+)", message.headers.get("contact", ""))
            state = "registered" if account.native.asked == "register" else "unregistered"
            account.native.asked = ""
            self.registration(account, state, code=200, expires=int(expires[1]) if expires and state == "registered" else None)
        elif account.native.asked == "unregister" and message.status >= 300 and message.status not in (401, 407):
            self._failed(account, message.status, message.reason, "native")

    def _failed(self, account: Account, code: int | None, reason: str | None, source: str) -> None:
        """No second try: the contract asks for one outcome."""
        account.native.asked, account.native.there = "", False
        self.registration(account, "failed", code=code, reason=reason, source=source)
        self.ari.drop_object("registration", account.id)

    def _messaging(self, message: Message) -> None:
        if message.sent and message.status is None:
            for known in self._messages:
                identifier, target, body = known
                if message.start.split(" ")[1] == target and message.body == body:
                    self._sent[message.call_id] = identifier
                    self._messages.remove(known)
                    break
        elif not message.sent and message.status and message.status >= 200 and message.status not in (401, 407):
            identifier = self._sent.pop(message.call_id, "")
            if identifier:
                self.emit("message.status", message=identifier, code=message.status, ok=message.status < 300)

    def _line(self, line: str) -> None:
        """Asterisk's log, on a thread of its own: that it is ready, and registrations that failed."""
        if "Asterisk Ready." in line:
            self._ready.set()
        elif found := _REFUSED.search(line):
            code = int(found[1] or found[2] or found[3])
            self.post(lambda: self._attempt_failed(found[4], code))
        elif found := _SILENT.search(line):
            self.post(lambda: self._attempt_failed(found[1] or found[2], None))

    def _attempt_failed(self, aor: str, code: int | None) -> None:
        for account in self.accounts.values():
            if account.aor == aor and account.native.asked == "register":
                self._failed(account, code, None if code else "no response", "log")


if __name__ == "__main__":
    AsteriskAgent.main()

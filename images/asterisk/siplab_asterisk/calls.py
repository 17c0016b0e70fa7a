"""Call legs: what is kept of each, and how ARI's events and the trace become the contract's events."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from siplab_agent import BadState, Call, Refused, log

from .audio import Line
from .dialog import Dialog
from .trace import Message

if TYPE_CHECKING:
    from .__main__ import AsteriskAgent

AUDIO = "-audio"
FINAL_WITHIN = 1.0
"""Seconds that a call's end waits for the final response after Asterisk gave its channel up."""


@dataclass(eq=False)
class Leg:
    """`channel` is Asterisk's, `line` its audio once it is answered."""

    channel: str
    dialog: Dialog | None = None
    line: Line | None = None
    holding: bool = False
    gone: bool = False
    transfers: Call | None = None
    """The call whose other side asked for this one by REFER."""


class Calls:
    """The agent's calls. Everything here runs on the main thread."""

    def __init__(self, agent: AsteriskAgent) -> None:
        self._agent = agent
        self._ari = agent.ari
        self._dialogs: dict[str, Dialog] = {}

    # -- finding ---------------------------------------------------------------------------------------------------------------------

    def _by_channel(self, channel: str) -> Call | None:
        return next((call for call in self._agent.calls.values() if call.native and call.native.channel == channel), None)

    def by_dialog(self, call_id: str) -> Call | None:
        """The call with this Call-ID."""
        return next(
            (call for call in self._agent.calls.values() if call.native and call.native.dialog and call.native.dialog.call_id == call_id),
            None,
        )

    def _dialog(self, call_id: str) -> Dialog:
        return self._dialogs.setdefault(call_id, Dialog(call_id))

    # -- acting ----------------------------------------------------------------------------------------------------------------------

    def dial(self, call: Call, target: str, headers: dict[str, str] | None = None) -> None:
        """Call `target`."""
        call.native = Leg(call.id)
        variables = {f"PJSIP_HEADER(add,{name})": value for name, value in (headers or {}).items()}
        channel = self._ari.request(
            "POST",
            "channels",
            {"variables": {"PJSIP_TRANSFER_HANDLING()": "ari-only", **variables}},
            endpoint=f"PJSIP/{call.account.id}/{target}",
            app="siplab",
            channelId=call.id,
            timeout=175,
            formats="ulaw",
        )
        call.native.dialog = self._dialog(channel["protocol_id"])

    def end(self, call: Call) -> None:
        """CANCEL or BYE, whichever fits."""
        self._ari.drop(f"channels/{call.native.channel}", reason="normal")

    def hold(self, call: Call, wanted: bool) -> None:
        """Re-INVITE; the outcome is told when it is answered. The tone stops at once and starts again with the answer."""
        if not call.answered:
            raise BadState(f"{call.id} is {call.state}, not established")
        leg: Leg = call.native
        self._ari.request("POST" if wanted else "DELETE", f"channels/{leg.channel}/hold")
        leg.holding = True
        if wanted and leg.line:
            leg.line.tone_hz = None

    # -- ARI's events ----------------------------------------------------------------------------------------------------------------

    def stasis_start(self, event: dict[str, Any]) -> None:
        """A channel is ours to use: an incoming call, the audio of a call, or a call that was answered."""
        channel, name, call_id = (event["channel"][member] for member in ("id", "name", "protocol_id"))
        if channel.endswith(AUDIO):
            self._bridge(channel)
            return
        call = self._by_channel(channel)
        if call is not None:
            self._established(call)
            return
        account = self._agent.accounts.get(name.removeprefix("PJSIP/").rpartition("-")[0])
        if account is None:
            log(f"call for no account of ours: {name}")
            self._ari.drop(f"channels/{channel}", reason="unallocated")
            return
        sender = self._ari.request("GET", f"channels/{channel}/variable", variable="CHANNEL(pjsip,remote_uri)")["value"]
        leg = Leg(channel, self._dialog(call_id))
        call = self._agent.incoming(account, re.sub(r".*<|>.*", "", sender), account.aor, native=leg)
        if leg.dialog and leg.dialog.confirmed:
            self._established(call)

    def _established(self, call: Call) -> None:
        leg: Leg = call.native
        self._agent.call_state(call, "established", leg.dialog.code if leg.dialog else None, leg.dialog.reason if leg.dialog else None)
        self._tell_media(call)
        leg.line = self._agent.audio.open(self._agent.config.tone_hz)
        self._ari.request(
            "POST",
            "channels/externalMedia",
            app="siplab",
            channelId=leg.channel + AUDIO,
            external_host="127.0.0.1:9092",
            encapsulation="audiosocket",
            transport="tcp",
            format="slin",
            data=leg.line.id,
        )
        if leg.transfers:
            self._agent.transfers.progress(leg.transfers, "done", 200)

    def _bridge(self, audio: str) -> None:
        channel = audio.removesuffix(AUDIO)
        if self._by_channel(channel) is None:
            self._ari.drop(f"channels/{audio}")
            return
        self._ari.request("POST", f"bridges/{channel}", type="mixing")
        self._ari.request("POST", f"bridges/{channel}/addChannel", channel=f"{channel},{audio}")

    def channel_destroyed(self, event: dict[str, Any]) -> None:
        """A channel is gone. The call has ended when its INVITE has a final response, too: a CANCEL is over with the 487."""
        call = self._by_channel(event["channel"]["id"])
        if call is None:
            return
        leg: Leg = call.native
        leg.gone = True
        self._ari.drop(f"channels/{leg.channel}{AUDIO}")
        self._ari.drop(f"bridges/{leg.channel}")
        if leg.line:
            self._agent.audio.close(leg.line)
        if leg.dialog and leg.dialog.code is not None:
            self._ended(call)
        else:
            self._agent.after(FINAL_WITHIN, lambda: self._ended(call))

    def _ended(self, call: Call) -> None:
        dialog: Dialog | None = call.native.dialog
        code, reason = (dialog.code, dialog.reason) if dialog else (None, None)
        if call.answered:
            code, reason = 200, "OK"
        if self._agent.call_state(call, "terminated", code, reason or None) and call.native.transfers:
            self._agent.transfers.progress(call.native.transfers, "failed", code)
        if dialog:
            self._agent.after(30.0, lambda: self._dialogs.pop(dialog.call_id, None))

    def dtmf_received(self, event: dict[str, Any]) -> None:
        """A digit, whichever way it came."""
        call = self._by_channel(event["channel"]["id"])
        if call is not None:
            self._agent.emit("call.dtmf", call=call.id, digit=event["digit"])

    # -- the trace -------------------------------------------------------------------------------------------------------------------

    def message(self, message: Message) -> None:
        """A message of a dialog, sent or received."""
        dialog = self._dialogs.get(message.call_id)
        if dialog is None:
            if message.method != "INVITE":
                return
            dialog = self._dialog(message.call_id)
        dialog.follow(message)
        call = self.by_dialog(message.call_id)
        if call is None:
            return
        if message.method == "INVITE" and message.status is not None:
            self._response(call, message)
        elif message.method == "ACK" and not message.sent and dialog.confirmed and call.pending:
            self._established(call)
        elif message.method in ("REFER", "NOTIFY"):
            self._agent.transfers.message(call, message)

    def _response(self, call: Call, message: Message) -> None:
        status = message.status or 0
        if call.answered:
            if status >= 200:
                self._reanswered(call, message)
        elif 101 <= status < 200:
            if call.state != "ringing":
                self._agent.call_state(call, "ringing", status, message.reason)
        elif status >= 300 and call.native.gone and status not in (401, 407):
            self._ended(call)

    def _reanswered(self, call: Call, message: Message) -> None:
        leg: Leg = call.native
        if not message.sent:
            if not leg.holding or message.status in (401, 407):
                return
            leg.holding = False
        if message.status != 200 or leg.dialog is None:
            return
        state = "held" if leg.dialog.held else "resumed"
        if (state == "held") != (call.state == "held"):
            self._agent.call_state(call, state)
        if leg.line and not leg.dialog.held:
            leg.line.tone_hz = self._agent.config.tone_hz
        self._tell_media(call)

    def _tell_media(self, call: Call) -> None:
        dialog: Dialog | None = call.native.dialog
        if dialog and dialog.local:
            codec = dialog.remote.codec if dialog.remote else dialog.local.codec
            self._agent.emit("call.media", call=call.id, direction=dialog.local.direction, encryption=dialog.local.encryption, codec=codec)


def replaces(dialog: Dialog | None) -> str:
    """The value of a Replaces header that means this dialog (RFC 3891 §6.1)."""
    if dialog is None or not dialog.remote_tag:
        raise Refused("the call to be replaced has no dialog yet")
    return f"{dialog.call_id};to-tag={dialog.remote_tag};from-tag={dialog.local_tag}"


def refer_target(value: str) -> str:
    """The URI of a Refer-To header."""
    found = re.search(r"<([^>]*)>", value)
    return found[1] if found else value.strip()

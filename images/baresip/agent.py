"""The agent of Debian's baresip: drives it by ctrl_tcp, listens to its events and, for status codes, to its SIP trace."""

from __future__ import annotations

import os
import re
import time
from typing import Any

import settings
from control import Control
from dialect import dialect
from events import BaresipEvents, Binding
from settings import CONTROL_PORT, FOLDER
from siplab_agent import Account, BadState, Call, Refused, Unsupported, expect
from siptrace import TraceReader

DIGIT_GAP = 0.3
"""Seconds between digits: baresip sends a digit for 120 ms or so and a new one replaces it."""
NO_ANSWER = 32.0
"""Seconds: Timer F of RFC 3261 §17.1.2."""


class BaresipAgent(BaresipEvents):
    """One baresip process; one of its user agents (UA) per account."""

    vendor = "baresip"
    capabilities = frozenset(
        {"udp", "tcp", "tls", "tls-server-name", "mtls", "ipv6", "digest-md5", "srv", "naptr", "ice", "stun", "turn"}
        | {"outbound", "outbound-flows", "q-value"}
        | {"invite", "cancel", "busy", "hold", "delayed-offer-uas", "early-media", "dtmf-rfc4733", "message", "refer"}
        | {"srtp-sdes", "srtp-dtls"}
    )
    control: Control

    # ---- the process ------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Bring baresip up, for IPv4 where there is any; an account of the other family restarts it (it listens on one address)."""
        os.makedirs(self.config.recordings, exist_ok=True)
        self._launch(self.config.family)

    def _launch(self, family: int) -> None:
        self.family = family
        self.order = []
        self.leaving = {}
        self.messages = []
        self.sent_messages = {}
        speaks = dialect(self.version())
        self.capabilities = type(self).capabilities - speaks.lacks
        settings.write_folder(self.config, family, speaks.lines)
        own = tuple(name for name in (self.config.ipv4, self.config.ipv6) if name)
        trace = TraceReader(own, lambda message: self.post(lambda: self.on_message(message)))

        def on_line(line: str) -> None:
            trace.feed(line)
            self.on_line(line)

        self.child = self.spawn(
            ["baresip", "-s", f"-{family}", "-f", FOLDER],
            name="baresip",
            env=settings.environment(),
            on_line=on_line,
        )
        self.control = Control(CONTROL_PORT, self.on_control)
        self.dialect = speaks(self.control)

    def version(self) -> str:
        """Of the Debian package: baresip itself answers 1.1.0 only."""
        return self.output_of(["dpkg-query", "-W", "-f=${Version}", "baresip-core"])

    def stop(self) -> None:
        """`quit` removes bindings and ends; SIGTERM follows."""
        if self.dead:
            return
        self.child.expected = True
        self.control.command("quit", check=False, timeout=0.5)
        self.child.done.wait(1.5)

    def reset(self) -> None:
        """Hang up and delete; baresip un-registers by itself. Waits for the registrar a moment so that bindings are gone after it."""
        registered = [account for account in self.order if account.native.registered]
        for account in list(self.order):
            account.native.close_slicer()
        if not self.dialect.clear():
            self._relaunch(self.config.family)
            return
        self.order.clear()
        self.leaving = {account.aor: account for account in registered}
        deadline = time.monotonic() + 0.2
        while self.leaving and time.monotonic() < deadline:
            self.pump(0.02)
        self.leaving.clear()
        if self.family != self.config.family:
            self._relaunch(self.config.family)

    def _relaunch(self, family: int) -> None:
        self.child.end()
        self.control.close()
        self._launch(family)

    # ---- accounts ---------------------------------------------------------------------------------------------------

    def account_add(self, account: Account) -> None:
        """A UA that does not register yet."""
        if any(other.aor == account.aor for other in self.order):
            raise BadState(f"aor: baresip's events name accounts by address, and {account.aor} is there already")
        settings.address(self.config, account.family)
        if account.family != self.family:
            if self.order:
                raise BadState(f"family: baresip listens on IPv{self.family} while it has accounts")
            self._relaunch(account.family)
        account.native = Binding(self.dialect.file(account))
        self.dialect.prepare(account)
        self._make(account, 0)

    def account_remove(self, account: Account) -> None:
        """Delete the UA; baresip removes a binding by itself."""
        for call in [call for call in self.calls.values() if call.account is account]:
            self.call_state(call, "terminated", reason="account removed")
        account.native.close_slicer()
        self._unmake(account)

    def register(self, account: Account, expires: int | None) -> None:
        """baresip 1.1 registers a UA when it is made and at no other time: make it anew."""
        self._idle(account)
        self._unmake(account)
        self._make(account, expires or account.expires)

    def unregister(self, account: Account) -> None:
        """Delete the UA, which sends the REGISTER with Expires: 0, and make one that does not register."""
        if not account.native.registered:
            raise BadState(f"{account.id} is not registered")
        self._idle(account)
        self.leaving[account.aor] = account
        self.remake(account)
        self.after(NO_ANSWER, lambda: self._still_leaving(account))

    def _still_leaving(self, account: Account) -> None:
        if self.leaving.get(account.aor) is account:
            del self.leaving[account.aor]
            self.registration(account, "failed", reason="no answer to the un-REGISTER", source="polled")

    def _idle(self, account: Account) -> None:
        if any(call.account is account for call in self.calls.values()):
            raise BadState(f"{account.id} has calls: baresip 1.1 would drop them")

    def _make(self, account: Account, regint: int) -> None:
        audio = f";audio_source=ausine,{self.config.tone_hz};audio_player={self.dialect.player},{account.native.player or account.id}"
        self.control.command("uanew", settings.account_line(account, regint) + audio)
        self.order.append(account)

    def _unmake(self, account: Account) -> None:
        self.control.command("uadel", account.aor)
        self.order.remove(account)
        account.native.registered = False
        account.native.up.clear()

    def remake(self, account: Account) -> None:
        """Deleting un-registers where there is a binding, and stops baresip from trying again where there is none."""
        self._unmake(account)
        self._make(account, 0)

    # ---- calls ------------------------------------------------------------------------------------------------------

    def call_invite(self, call: Call, target: str, offer: str) -> None:
        """Dial with the UA at the account's position."""
        call.native = self.dialect.dial(call.account, self.order.index(call.account), target)

    def call_ring(self, call: Call) -> None:
        """baresip has sent its 180 already when it tells of a call."""
        expect(call, call.incoming and call.pending, "ring")

    def call_answer(self, call: Call) -> None:
        """200."""
        expect(call, call.incoming and call.pending, "answer")
        self.dialect.ask(call, "accept")

    def call_reject(self, call: Call, code: int, reason: str | None) -> None:
        """486: `hangup` of 1.1 takes no other code. Told as terminated when it is sent."""
        expect(call, call.incoming and call.pending, "reject")
        self._hang_up(call)

    def call_cancel(self, call: Call) -> None:
        """CANCEL; told as terminated when the INVITE's final answer is in."""
        expect(call, not call.incoming and call.pending, "cancel")
        self._hang_up(call)

    def call_bye(self, call: Call) -> None:
        """BYE; told as terminated when it is answered."""
        expect(call, call.answered, "end")
        self._hang_up(call)

    def _hang_up(self, call: Call) -> None:
        self.closing(call)
        self.dialect.ask(call, "hangup")

    def call_hold(self, call: Call) -> None:
        """re-INVITE sendonly."""
        expect(call, call.answered and not call.extra.get("hold"), "hold")
        call.extra.update(hold=True, wanted="held")
        self.dialect.ask(call, "hold")

    def call_resume(self, call: Call) -> None:
        """re-INVITE sendrecv."""
        expect(call, call.answered and bool(call.extra.get("hold")), "resume")
        call.extra.update(hold=False, wanted="resumed")
        self.dialect.resume(call)

    def call_refer(self, call: Call, target: str, replaces: Call | None) -> None:
        """Blind transfer."""
        expect(call, call.answered, "refer")
        self.dialect.select(call)
        self.control.command("transfer", target)
        call.extra["refer"] = target

    def call_dtmf(self, call: Call, digits: str, via: str) -> None:
        """RFC 4733 digits, one after another."""
        expect(call, call.answered, "send digits")
        for position, digit in enumerate(digits):
            self.after(position * DIGIT_GAP, lambda digit=digit: self._send_digit(call, digit))  # type: ignore[misc]

    def _send_digit(self, call: Call, digit: str) -> None:
        if call.live and not self.dead:
            self.dialect.select(call)
            self.control.command("sndcode", digit)

    # ---- messages ---------------------------------------------------------------------------------------------------

    def message_send(self, message: str, account: Account, target: str, body: str, content_type: str) -> None:
        """`message` writes to the current contact."""
        if content_type != "text/plain":
            raise Unsupported(f"content_type: baresip sends text/plain only, not {content_type}")
        if len(self.order) > 1:
            raise BadState("message: with several accounts baresip chooses the sender by itself")
        self.dialect.address(target)
        self.messages.append(message)
        try:
            self.control.command("message", body)
        except Exception:
            self.messages.remove(message)
            raise
        self.after(NO_ANSWER, lambda: self.message_done(message, None))

    # ---- media ------------------------------------------------------------------------------------------------------

    def media_play(self, call: Call, tone_hz: int) -> None:
        """`ausrc` changes the source of every call; silence is `mute`, which goes on sending packets."""
        expect(call, call.answered, "play")
        if len(self.calls) > 1:
            raise BadState("media.play: baresip changes the tone of all its calls at once, and there is more than this one")
        self.dialect.select(call)
        if bool(call.extra.get("muted")) != (tone_hz == 0):
            self.control.command("mute")
            call.extra["muted"] = tone_hz == 0
        if tone_hz and call.extra.get("tone", self.config.tone_hz) != tone_hz:
            output = self.control.command("ausrc", f"ausine,{tone_hz}")
            if "failed" in output:
                raise Refused(f"ausrc: {' '.join(output.split())}")
            call.extra["tone"] = tone_hz

    def media_record(self, recording: str, path: str, call: Call, seconds: float) -> None:
        """Cut out of the file that baresip's aufile player writes for the account."""
        if sum(other.account is call.account and other.answered for other in self.calls.values()) > 1:
            raise BadState("media.record: two calls of one account share baresip's player file")

        def done(file: str, length: float) -> None:
            source = call.account.native.slicer.source if call.account.native.slicer else "polled"
            self.recorded(call, recording, file, length, source=source)

        call.account.native.record(path, seconds, done)

    def stats(self, call: Call | None) -> dict[str, Any]:
        """Packet counts off `audio_debug`, for a call that has media."""
        if call is None or not call.answered:
            return {}
        self.dialect.select(call)
        output = self.control.command("audio_debug", check=False)
        sent, received = re.search(r"TX: packets=(\d+)", output), re.search(r"rcvd=(\d+)", output)
        counts = {"tx_packets": sent, "rx_packets": received}
        return {name: int(found[1]) for name, found in counts.items() if found}


if __name__ == "__main__":
    BaresipAgent.main()

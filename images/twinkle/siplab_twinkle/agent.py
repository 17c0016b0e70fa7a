"""The agent of twinkle-console: types its commands, listens to what it prints and logs."""

from __future__ import annotations

import os
from functools import partial

from siplab_agent import Account, BadState, Call, Refused, Unsupported, expect

from . import sound
from .events import TwinkleEvents
from .phone import Phone, check

END_WITHIN = 1.5
"""Seconds that twinkle is given to hang up, remove its bindings and go."""


class TwinkleAgent(TwinkleEvents):
    """One twinkle-console per account, all with the same microphone."""

    vendor = "twinkle"
    capabilities = frozenset(
        {"udp", "tcp", "digest-md5", "srv", "invite", "cancel", "busy", "redirect", "hold", "delayed-offer-uas"}
        | {"dtmf-rfc4733", "message", "prack", "refer", "q-value"}
    )

    # ---- the processes ----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Bring the sound up; twinkle itself knows its accounts from its start only, and so is started for each."""
        os.makedirs(self.config.recordings, exist_ok=True)
        sound.start(self)
        self.mouth = sound.Mouth(self.config.tone_hz)
        self.ears = [sound.Ear(number) for number in range(sound.SPEAKERS)]
        self.phones = {}

    def version(self) -> str:
        """Of the Debian package: twinkle-console has no option that tells it."""
        return self.output_of(["dpkg-query", "-W", "-f=${Version}", "twinkle-console"])

    def stop(self) -> None:
        """End all of them."""
        self._end(list(self.phones.values()))

    def reset(self) -> None:
        """Twinkle hangs up and un-registers by itself when it quits."""
        self._end(list(self.phones.values()))
        self.phones.clear()
        self.mouth.hz = self.config.tone_hz

    def _end(self, phones: list[Phone]) -> None:
        for phone in phones:
            phone.leave()
        for phone in phones:
            phone.end(END_WITHIN)
            phone.ear.recorder.close()

    # ---- accounts ---------------------------------------------------------------------------------------------------

    def account_add(self, account: Account) -> None:
        """A twinkle of its own, which does not register yet."""
        check(account)
        taken = {phone.number for phone in self.phones.values()}
        free = [number for number in range(sound.SPEAKERS) if number not in taken]
        if not free:
            raise BadState(f"no more than {sound.SPEAKERS} accounts: each has a sound card of its own")
        phone = Phone(self, account, free[0], self.ears[free[0]])
        phone.on_told, phone.on_message = self.on_told, self.on_message
        phone.start(account.expires)
        self.phones[account.id] = phone

    def account_remove(self, account: Account) -> None:
        """Twinkle hangs up and removes its binding when it quits."""
        self._end([self.phones.pop(account.id)])
        for call in [call for call in self.calls.values() if call.account is account]:
            self.call_state(call, "terminated", reason="account removed")

    def register(self, account: Account, expires: int | None) -> None:
        """`register` asks for what the profile says, and tells a failure only once: for both twinkle is started anew."""
        phone = self.phones[account.id]
        wanted = expires or account.expires
        if phone.failed or wanted != phone.expires:
            if any(phone.lines.values()):
                raise BadState(f"{account.id} has calls, and twinkle would drop them to register anew")
            self._end([phone])
            phone.start(wanted)
        phone.asked = True
        phone.command("register")

    def unregister(self, account: Account) -> None:
        """REGISTER with Expires: 0 for our own contact."""
        self.phones[account.id].command("deregister")

    # ---- calls ------------------------------------------------------------------------------------------------------

    def call_invite(self, call: Call, target: str, offer: str) -> None:
        """On the active line, else on the other one; twinkle then holds the call that is on the first."""
        phone = self.phones[call.account.id]
        line = phone.free_line()
        phone.select(line)
        phone.lines[line] = call
        phone.command(f"invite {target}")

    def call_ring(self, call: Call) -> None:
        """Twinkle has sent its 180 already when it tells of a call."""
        expect(call, call.incoming and call.pending, "ring")

    def call_answer(self, call: Call) -> None:
        """200."""
        self._type(call, call.incoming and call.pending, "answer", "answer")

    def call_reject(self, call: Call, code: int, reason: str | None) -> None:
        """486: the console knows no other code."""
        self._type(call, call.incoming and call.pending, "reject", "reject")

    def call_redirect(self, call: Call, contact: str) -> None:
        """302."""
        self._type(call, call.incoming and call.pending, "redirect", f"redirect {contact}")

    def call_cancel(self, call: Call) -> None:
        """CANCEL; told as terminated when the INVITE's final answer is in."""
        self._type(call, not call.incoming and call.pending, "cancel", "bye")

    def call_bye(self, call: Call) -> None:
        """BYE; told as terminated when it is answered."""
        self._type(call, call.answered, "end", "bye")

    def call_hold(self, call: Call) -> None:
        """re-INVITE sendonly."""
        self._type(call, call.answered and call.state != "held", "hold", "hold")

    def call_resume(self, call: Call) -> None:
        """re-INVITE sendrecv."""
        self._type(call, call.state == "held", "resume", "retrieve")

    def call_refer(self, call: Call, target: str, replaces: Call | None) -> None:
        """Blind: a transfer with consultation (`transfer -l`) was not tried."""
        call.extra["refer"] = target
        self._type(call, call.answered, "refer", f"transfer {target}")

    def call_dtmf(self, call: Call, digits: str, via: str) -> None:
        """RFC 4733; raw, as `dtmf` else takes letters for the digits that are printed with them."""
        self._type(call, call.answered, "send digits", f"dtmf -r {digits}")

    def _type(self, call: Call, possible: bool, what: str, command: str) -> None:
        expect(call, possible, what)
        phone = self.phones[call.account.id]
        phone.select(phone.line_of(call))
        phone.command(command)

    # ---- messages and media -----------------------------------------------------------------------------------------

    def message_send(self, message: str, account: Account, target: str, body: str, content_type: str) -> None:
        """One line of text without quotation marks: the console quotes with them and has no way to escape one."""
        if content_type != "text/plain":
            raise Unsupported(f"content_type: twinkle-console sends text/plain only, not {content_type}")
        if not body or '"' in body:
            raise Refused('body: twinkle-console takes neither an empty text nor one with a quotation mark (") in it')
        phone = self.phones[account.id]
        phone.command(f'message {target} "{body}"')
        phone.messages[message] = ""

    def media_play(self, call: Call, tone_hz: int) -> None:
        """The microphone is one for all calls of the element."""
        expect(call, call.answered, "play")
        if len(self.calls) > 1:
            raise BadState("media.play: the calls of the element share a microphone, and there is more than this one")
        self.mouth.hz = tone_hz

    def media_record(self, recording: str, path: str, call: Call, seconds: float) -> None:
        """What twinkle plays to the account's speaker; only the call on the active line is heard there."""
        phone = self.phones[call.account.id]
        if not call.answered or phone.line_of(call) != phone.active:
            raise BadState(f"cannot record {call.id}: it is {call.state}, or not on twinkle's active line")
        phone.ear.recorder.start(path, seconds, partial(self.recorded, call, recording))

"""One twinkle-console: its home folder, its process, its two lines. Every account has one of its own."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Callable
from queue import Empty, SimpleQueue

from siplab_agent import Account, Agent, BadParams, BadState, Call, Refused

from .console import Console, Told
from .siplog import Message, SipLog
from .sound import FOLDER, SOCKET, Ear

LINES = (1, 2)
LONGEST_COMMAND = 4000
"""Bytes: a terminal's line, which readline gets over a pipe, has no limit of its own; SIP over UDP has."""
SWITCH_WITHIN = 2.0
"""Seconds that twinkle is given to change lines."""

_SYSTEM = """\
dev_ringtone=alsa:speaker
dev_speaker=alsa:speaker
dev_mic=alsa:microphone
validate_audio_dev=no
play_ringtone=no
play_ringback=no
call_waiting=yes
sip_port={sip_port}
rtp_port={rtp_port}
log_show_sip=yes
log_max_size=100
"""
_PROFILE = """\
user_name={user}
user_domain={domain}
auth_name={username}
auth_pass={password}
outbound_proxy={proxy}
all_requests_to_proxy=yes
registrar={proxy}
registration_time={expires}
reg_add_qvalue={preferred}
reg_qvalue={q}
register_at_startup=no
sip_transport={transport}
codecs=g711u,g711a
dtmf_transport=rfc2833
ask_user_to_refer=no
timer_noanswer=600
pres_publish_startup=no
im_send_iscomposing=no
speex_dsp_vad=no
speex_dsp_agc=no
speex_dsp_aec=no
speex_dsp_nrd=no
"""
_ALSA = """\
pcm.speaker {{ type pulse server "unix:{socket}" device "speaker{number}" }}
pcm.microphone {{ type pulse server "unix:{socket}" device "microphone" }}
ctl.speaker {{ type pulse server "unix:{socket}" }}
ctl.microphone {{ type pulse server "unix:{socket}" }}
"""


class Phone:
    """The process of one account, and what is known of it. `on_told` and `on_message` run on the agent's main thread."""

    def __init__(self, agent: Agent, account: Account, number: int, ear: Ear) -> None:
        self.account, self.number, self.ear = account, number, ear
        self.on_told: Callable[[Phone, Told], None] = lambda *_: None
        self.on_message: Callable[[Phone, Message], None] = lambda *_: None
        self.lines: dict[int, Call | None] = dict.fromkeys(LINES)
        self.active = 1
        self.registered = self.failed = self.asked = False
        self.offers: dict[str, int] = {}
        """Call-IDs of incoming calls that twinkle has not told of yet, with the last code that it answered."""
        self.messages: dict[str, str] = {}
        """Messages asked for and not answered yet, with their Call-ID as soon as it is known."""
        self._text_bytes = 0
        self._agent = agent
        self._switched: SimpleQueue[int] = SimpleQueue()
        """Lines that twinkle says are active now; 0 where it says that it cannot leave the one that is."""

    def start(self, expires: int) -> None:
        """Write the folder and run the program; `expires` is what it will ask the registrar for, in seconds."""
        home = f"{FOLDER}/phone{self.number}"
        shutil.rmtree(home, ignore_errors=True)
        os.makedirs(f"{home}/.twinkle")
        account, low = self.account, self._agent.config.rtp_ports[0]
        _write(f"{home}/.asoundrc", _ALSA.format(socket=SOCKET, number=self.number))
        ports = {"sip_port": 5060 + 2 * self.number, "rtp_port": low + 10 * self.number}
        _write(f"{home}/.twinkle/twinkle.sys", _SYSTEM.format(**ports))
        members = {"user": account.user, "domain": account.domain, "username": account.username, "password": account.password}
        proxy = re.sub(r";transport=\w+", "", account.proxy.partition(":")[2])
        members |= {"preferred": "no" if account.q is None else "yes", "q": f"{account.q or 0:.3g}"}
        profile = _PROFILE.format(**members, proxy=proxy, expires=expires, transport=account.transport)
        _write(f"{home}/.twinkle/account.cfg", profile)
        self.expires, self.registered, self.failed, self.active = expires, False, False, 1
        self.log = SipLog(f"{home}/.twinkle", self._logged)
        console = Console(lambda told: self._agent.post(lambda: self.on_told(self, told)), lambda: self._text_bytes)
        self.child = self._agent.spawn(
            ["twinkle-console", "account.cfg"],
            name=f"twinkle-{account.id}",
            env={"HOME": home, "LC_ALL": "C.UTF-8", "TERM": "dumb"},
            on_line=lambda line: self._on_line(console, line),
        )

    def _on_line(self, console: Console, line: str) -> None:
        """In the child's thread."""
        changed = re.search(r"Line (\d) is (?:now|already) active|Current call cannot be put on-hold", line)
        if changed:
            self._switched.put(int(changed[1] or 0))
        self.log.drain()
        console.feed(line)

    def _logged(self, message: Message) -> None:
        """In whatever thread digests the log."""
        if message.method == "MESSAGE" and not message.sent and not message.code:
            self._text_bytes = int(message.headers.get("content-length", "0"))
        self._agent.post(lambda: self.on_message(self, message))

    def command(self, text: str) -> None:
        """Type a command. It has no answer; what it did is told."""
        if "\n" in text or "\r" in text or len(text.encode()) > LONGEST_COMMAND:
            raise Refused(f"{text.split(maxsplit=1)[0]}: twinkle-console takes one line of at most {LONGEST_COMMAND} bytes")
        self.child.write(text.encode() + b"\n")

    def select(self, line: int) -> None:
        """Make a line the active one, which commands are about. Twinkle holds the call that is on the other one."""
        if line == self.active:
            return
        other = self.lines[self.active]
        if other and other.pending:
            raise BadState(f"twinkle has two lines, and {other.id} on the other one is {other.state}: it would be torn down")
        with contextlib.suppress(Empty):
            while True:
                self._switched.get_nowait()  # an answer that came too late for who had asked
        self.command(f"line {line}")
        try:
            told = self._switched.get(timeout=SWITCH_WITHIN)
        except Empty:
            raise Refused(f"line: no answer within {SWITCH_WITHIN} s") from None
        if told != line:
            why = f"line {told} is active" if told else "it cannot leave the active one now"
            raise BadState(f"twinkle does not change to line {line}: {why}")
        self.active = line

    def line_of(self, call: Call) -> int:
        """The line of a call; BadState where twinkle has put it away (a call that is being transferred)."""
        for line, other in self.lines.items():
            if other is call:
                return line
        raise BadState(f"{call.id} is on no line of twinkle: it is being transferred")

    def free_line(self) -> int:
        """The active line if it is free, else the other one; BadState where both are taken."""
        for line in (self.active, *LINES):
            if self.lines[line] is None:
                return line
        raise BadState("twinkle has two lines, and both have a call")

    def leave(self) -> None:
        """Ask it to quit: it ends its calls, removes its binding and goes."""
        self.child.expected = True
        with contextlib.suppress(OSError):  # it may be gone already
            self.command("quit")

    def end(self, within: float) -> None:
        """Wait for it, then make it end."""
        self.child.done.wait(within)
        self.child.end(0.5)
        self.log.close()


def check(account: Account) -> None:
    """BadParams for what a line of a profile cannot hold."""
    for name in ("username", "password"):
        value = getattr(account, name)
        if value != value.strip():
            raise BadParams(f"{name}: twinkle's profile cannot hold blanks at its ends")


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)

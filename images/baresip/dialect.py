"""How a baresip program is asked for what concerns calls. Versions differ in that and in little else."""

from __future__ import annotations

import re
from typing import Any

from control import Control
from settings import FOLDER, write_contact
from siplab_agent import Account, BadState, Call, Refused

_TURNED = {"sendrecv": "sendrecv", "sendonly": "recvonly", "recvonly": "sendonly", "inactive": "inactive"}


class Dialect:
    """baresip 1.1: commands name the user agent by its position and the call by its id."""

    lacks: frozenset[str] = frozenset()
    """Capabilities that the agent has with other versions only."""
    lines = """\
ausrc_channels 1
audio_player aufile,/dev/null
audio_alert aufile,/dev/null
module aufile.so
module dtls_srtp.so
module_app contact.so
"""
    """Lines of configuration: what the tone generator takes, what plays into files, DTLS and contacts."""
    tells_messages = True
    """A received MESSAGE is an event."""
    player = "aufile"
    """Module that an account's calls play to; its device is the file."""

    def __init__(self, control: Control) -> None:
        self.control = control

    def dial(self, account: Account, position: int, target: str) -> str:
        """Dial; the call's id, empty as long as baresip gathers candidates: the first event of the call names it."""
        output = self.control.command("dial", f"{target} {position}")
        found = re.search(r"call id: *(\S*)", output)
        if not found:
            raise Refused(f"dial: {' '.join(output.split())}")
        return found[1]

    def ask(self, call: Call, command: str) -> None:
        """`accept`, `hangup` or `hold`."""
        self.control.command(command, call.native)

    def resume(self, call: Call) -> None:
        """baresip 1.1 says "Invalid argument" and does it."""
        self.control.command("resume", call.native, check=False)

    def select(self, call: Call) -> None:
        """Make it the current call, which the other commands are for."""
        self.control.command("callfind", call.native)

    def file(self, account: Account) -> str:
        """What the account's calls play to; empty where that is known from the log only, for each call."""
        return f"{FOLDER}/{account.id}-received.wav"

    def prepare(self, account: Account) -> None:
        """What an account needs before there is a user agent for it."""

    def address(self, target: str) -> None:
        """Make it the current contact, which `message` writes to. Contacts are read once: the module is loaded anew."""
        write_contact(target)
        self.control.command("rmmod", "contact")
        self.control.command("insmod", "contact")

    def complete(self, event: dict[str, Any], call: Call) -> dict[str, Any]:
        """An event of a call, as 1.1 would tell it."""
        return event

    def clear(self) -> bool:
        """Hang up and delete all user agents, which un-registers them; Refused where it does not. False: only a new process forgets."""
        self.control.command("hangupall")
        self.control.command("uadelall")
        return True


class Dialect10(Dialect):
    """baresip 1.0: there is a current user agent, which has a current call. What is for a call exists only while it is established.

    Its aufile has no player: aubridge plays to nowhere, and sndfile writes what is decoded, up to the first re-INVITE.
    """

    lacks = frozenset({"early-media", "hold", "ice"})
    lines = """\
ausrc_channels 2
audio_player aubridge,nowhere
audio_alert aubridge,nowhere
module aubridge.so
module sndfile.so
snd_path /run/baresip
"""
    tells_messages = False
    player = "aubridge"
    _target: str | None = None
    _dtls = False

    def dial(self, account: Account, position: int, target: str) -> str:
        """Dial; no id is told."""
        self._agent(account)
        self.control.command("dial", target)
        return ""

    def ask(self, call: Call, command: str) -> None:
        """Without naming the call."""
        self.select(call)
        self.control.command(command)

    def resume(self, call: Call) -> None:
        """Without naming the call."""
        self.ask(call, "resume")

    def select(self, call: Call) -> None:
        """Both the user agent and its call."""
        self._agent(call.account)
        if call.answered:
            self.control.command("callfind", call.native)

    def file(self, account: Account) -> str:
        """Named by sndfile."""
        return ""

    def prepare(self, account: Account) -> None:
        """DTLS: making its RSA key takes 0.1 to more than 4 s, too much for every new process."""
        if account.media == "dtls" and not self._dtls:
            self.control.command("insmod", "dtls_srtp", timeout=4.0)
            self._dtls = True

    def address(self, target: str) -> None:
        """The contact module is loaded late, and once: it keeps pointing to contacts that a second time has freed."""
        if self._target not in (None, target):
            raise BadState(f"message: baresip 1.0 reads its contacts once, and they have been {self._target}")
        if self._target is None:
            self._target = target
            write_contact(target)
            self.control.command("insmod", "contact")
            self.control.command("contact_next")

    def complete(self, event: dict[str, Any], call: Call) -> dict[str, Any]:
        """With the direction that the peer's SDP leaves us, which only the trace has, and whether the SDP is the answer to ours."""
        allowed = _TURNED[call.extra.get("peer_direction", "sendrecv")]
        return {**event, "remoteaudiodir": allowed, "answers": event.get("param") == "answer"}

    def clear(self) -> bool:
        """Deleting a user agent that had calls kills 1.0 (SIGSEGV); ending does what is to be done."""
        return False

    def _agent(self, account: Account) -> None:
        self.control.command("uafind", account.aor)


def dialect(version: str) -> type[Dialect]:
    """That of the version of Debian's package, or baresip's own."""
    return Dialect10 if version.startswith("1.0") else Dialect

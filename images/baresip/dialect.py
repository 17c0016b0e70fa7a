"""How a baresip program is asked for what concerns calls. Versions differ in that and in little else."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from control import Control
from siplab_agent import Account, Call, Refused

_TURNED = {"sendrecv": "sendrecv", "sendonly": "recvonly", "recvonly": "sendonly", "inactive": "inactive"}


class Dialect:
    """baresip 1.1: commands name the user agent by its position and the call by its id."""

    sound = """\
ausrc_channels 1
audio_player aufile,/dev/null
audio_alert aufile,/dev/null
module aufile.so
"""
    """Lines of configuration: what the tone generator takes, and what plays into files."""
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

    def complete(self, event: dict[str, Any], call: Call) -> dict[str, Any]:
        """An event of a call, as 1.1 would tell it."""
        return event

    def clear(self, accounts: Iterable[Account], calls: Iterable[Call]) -> None:
        """Hang everything up and delete all user agents, which un-registers them."""
        self.control.command("hangupall", check=False)
        self.control.command("uadelall", check=False)


class Dialect10(Dialect):
    """baresip 1.0: there is a current user agent, which has a current call. What is for a call exists only while it is established.

    Its aufile has no player: aubridge plays to nowhere, and sndfile writes what is decoded, up to the first re-INVITE.
    """

    sound = """\
ausrc_channels 2
audio_player aubridge,nowhere
audio_alert aubridge,nowhere
module aubridge.so
module sndfile.so
snd_path /run/baresip
"""
    player = "aubridge"

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

    def complete(self, event: dict[str, Any], call: Call) -> dict[str, Any]:
        """With the direction that the peer's SDP leaves us, which only the trace has, and whether the SDP is the answer to ours."""
        allowed = _TURNED[call.extra.get("peer_direction", "sendrecv")]
        return {**event, "remoteaudiodir": allowed, "answers": event.get("param") == "answer"}

    def clear(self, accounts: Iterable[Account], calls: Iterable[Call]) -> None:
        """One by one."""
        for call in calls:
            self.ask(call, "hangup")
        for account in accounts:
            self.control.command("uadel", account.aor, check=False)

    def _agent(self, account: Account) -> None:
        self.control.command("uafind", account.aor)


def dialect(version: str) -> type[Dialect]:
    """That of the version of Debian's package, or baresip's own."""
    return Dialect10 if version.startswith("1.0") else Dialect

"""The telephone network behind a gateway: numbers that ring, answer, are busy or do not exist, as /etc/siplab/trunk.json says.

`python3 -m siplab_reference.trunk`. It does that by itself, and speaks the agent contract beside it, so that a scenario can call in from
the network, take over a call that rings, and see what came. Causes go in Reason header fields (RFC 3326, RFC 6432).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from siplab_agent import Account
from sipmessage import URI

from lab.sip.account import Account as SipAccount
from lab.sip.call import Call as SipCall
from lab.sip.digest import Credentials
from lab.sip.user_agent import Settings, UserAgent

from .agent import ReferenceAgent
from .listener import Reporter

NUMBERS = Path("/etc/siplab/trunk.json")


@dataclass(frozen=True)
class Number:
    """What calling a number leads to. `digits` is `rfc4733` or `inband`."""

    behaviour: str
    cause: int
    status: int
    seconds: float
    digits: str


NOBODY = Number("release", cause=1, status=404, seconds=0, digits="rfc4733")
"""Unallocated."""


class Network(UserAgent):
    """A user agent that is everybody's: whatever number is called, there is an account for it."""

    numbers: Mapping[str, Number]
    host: str

    def account_for(self, user: str | None) -> SipAccount | None:
        """Of a number, whether there is such a one or not; accounts of the contract are for calls into the gateway only."""
        if not user:
            return None
        aor = URI(scheme="sip", user=user, host=self.host)
        inband = self.numbers.get(user, NOBODY).digits == "inband"
        return SipAccount(user, aor, Credentials("", ""), URI(scheme="sip", host=self.host), "udp", "rtp", self.host, inband=inband)


class NumbersReporter(Reporter):
    """Tells of calls to numbers, and does at once what the number is for."""

    def incoming(self, call: SipCall, sender: str, to: str) -> None:
        """An INVITE to a number."""
        agent, number = self._agent, call.account.name
        account = Account(number, f"sip:{number}", number, "", "", "udp", "rtp", 4, 0)
        self._calls[call] = agent.incoming(account, sender, to, native=call)
        assert isinstance(agent, TrunkAgent)
        agent.behave(call, agent.numbers.get(number, NOBODY))


class TrunkAgent(ReferenceAgent):
    """The telephone network as a vendor's agent."""

    reporter_type = NumbersReporter

    def make(self, settings: Settings) -> UserAgent:
        """One that knows the numbers."""
        document: dict[str, dict[str, Any]] = json.loads(NUMBERS.read_text(encoding="utf-8"))
        self.numbers = {number: Number(**about) for number, about in document.items()}
        network = Network(settings, self.reporter)
        network.numbers, network.host = self.numbers, self.config.ipv4
        return network

    def behave(self, call: SipCall, number: Number) -> None:
        """What the number is for (RFC 3398 §7.2.4 to §7.2.7)."""
        if number.behaviour == "release":
            self._release(call, number)
        elif number.behaviour in ("answer", "ring"):
            call.respond(180)
        else:
            call.respond(183)
        if number.behaviour == "answer":
            call.respond(200)
        elif number.behaviour == "announcement":
            self.after(number.seconds, lambda: self._release(call, number))

    @staticmethod
    def _release(call: SipCall, number: Number) -> None:
        if call.state != "terminated":
            call.respond(number.status, cause=number.cause)


if __name__ == "__main__":
    TrunkAgent.main()

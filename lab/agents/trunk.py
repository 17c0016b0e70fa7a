"""The telephone network behind a gateway, in a scenario's hand."""

from __future__ import annotations

from lab.agents.call import Call, Ears
from lab.agents.client import AgentClient
from lab.agents.driven import Driven
from lab.agents.events import Event
from lab.agents.step import Outcome


class Trunk(Driven):
    """Drives the element with the role `trunk`. What its numbers do is in the topology and happens by itself."""

    def __init__(self, client: AgentClient, host: str, gateway: str, tone_hz: int, ears: Ears) -> None:
        """`host` is its address, `gateway` the URI at which the gateway takes calls of the telephone network."""
        super().__init__(client)
        self.tone = tone_hz
        self._host, self._gateway, self._ears = host, gateway, ears

    def expect_call(self, number: str, within: float = 8.0) -> Call:
        """The next call to that number, or StepFailed."""
        step = f"call to {number}"
        event = self._next("call.incoming", within, "INVITE", step=step, wanted="call")
        asked = str(event.data.get("account", ""))
        Outcome(asked == number, f"the call is to {asked}, not {number}", self.name, step).required()
        return Call(self.client, str(event.data["call"]), ears=self._ears, start=self._seen - 1, remote=str(event.data.get("from", "")))

    def call(self, number: str, caller: str, *, restricted: bool = False, inband: bool = False) -> Call:
        """Call a subscriber's number from `caller`'s. A `restricted` caller does not want to be known: the gateway is told who calls,
        and that nobody else may be (RFC 3323 §4.3, RFC 3325 §7). `inband` digits are sound.
        """
        client, start = self.client, len(self.client.events)
        account = client.request(
            "account.add", aor=f"sip:{caller}@{self._host}", username=caller, password=caller, proxy=self._gateway, transport="udp",
            media="rtp", family=4, asserts=True, anonymous=restricted, inband=inband,
        )["account"]  # fmt: skip
        target = f"sip:{number}@{self._gateway.removeprefix('sip:').partition(':')[0]}"
        result = client.request("call.invite", account=account, target=target)
        return Call(client, str(result["call"]), ears=self._ears, start=start, remote=target)

    def released(self, call: Call, cause: int, within: float = 8.0) -> Outcome:
        """The gateway ended or refused `call`, saying why: a cause of ITU-T Q.850 (RFC 3398 §8.2.6.1, RFC 6432)."""

        def over(event: Event) -> bool:
            ended = event.matches("call.state", call=call.id) and event.data.get("state") == "terminated"
            return event.name == "fault" or ended or event.matches("call.released", call=call.id)

        event = self.client.events.wait(over, within=within, start=self.began)
        given = event.data.get("cause") if event else None
        what = f"released with cause {given}" if given is not None else "released without a cause" if event else "not released"
        return Outcome(given == cause, f"{what}, should be {cause}", self.name, "release")

    def misbehave(self, name: str) -> None:
        """Be wrong in this way until the scenario ends, for negative controls."""
        self.client.request("misbehave", name=name)

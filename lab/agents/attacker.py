"""An attacker in a scenario's hand: a SIP address where nobody honest lives."""

from __future__ import annotations

from lab.agents.client import AgentClient
from lab.agents.step import Outcome


class Attacker:
    """Drives an element that takes what comes and answers as told; what it got is on the wire, and in its events."""

    def __init__(self, client: AgentClient) -> None:
        self.client = client
        self.began = len(client.events)

    @property
    def name(self) -> str:
        """The element's name."""
        return self.client.element

    def answer(self, code: int | None, *methods: str) -> None:
        """From now on requests of these methods (none named: all) get a response with this code; with None they get silence."""
        self.client.request("answer", code=code, methods=list(methods))

    def received(self, method: str, within: float = 8.0) -> Outcome:
        """A request of `method` has reached it since the scenario began."""
        event = self.client.events.wait(
            lambda e: e.matches("request.received", method=method),
            within=within,
            start=self.began,
        )
        what = f"received {method} over {event.data.get('transport')}" if event else f"received no {method} within {within:g} s"
        return Outcome(event is not None, what, self.name, "receive", trace=method)

    def reset(self) -> None:
        """Silent again."""
        self.client.reset()
        self.began = len(self.client.events)

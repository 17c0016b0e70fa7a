"""What all elements that a scenario drives through an agent have in common."""

from __future__ import annotations

from lab.agents.client import AgentClient
from lab.agents.events import Event
from lab.agents.step import Outcome


class Driven:
    """An element with an agent. `began` is where this scenario's events begin, `_seen` where those begin that nobody has waited for yet."""

    def __init__(self, client: AgentClient) -> None:
        self.client = client
        self.began = len(client.events)
        self._seen = 0

    @property
    def name(self) -> str:
        """The element's name."""
        return self.client.element

    def reset(self) -> None:
        """Back to the state after the handshake; what happened before belongs to another scenario."""
        self.client.reset()
        self.began = self._seen = len(self.client.events)

    def _next(self, name: str, within: float, trace: str, *, step: str = "", wanted: str = "") -> Event:
        """The next event of that name that was not waited for yet, or StepFailed: `wanted` is what it is called in the words of `step`."""
        event = self.client.events.wait(lambda e: e.name in (name, "fault"), within=within, start=self._seen)
        if event is None or event.name == "fault":
            what = f"no {wanted or name} within {within:g} s" if event is None else f"the element failed: {event.data.get('what', '')}"
            Outcome(False, what, self.name, step or name, trace=trace).required()
        assert event is not None
        self._seen += self.client.events.since(self._seen).index(event) + 1
        return event

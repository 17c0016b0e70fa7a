"""An attacker in a scenario's hand: a SIP address where nobody honest lives."""

from __future__ import annotations

from lab.agents.driven import Driven
from lab.agents.step import Outcome


class Attacker(Driven):
    """Takes what comes and answers as told, after a reset with silence; what it got is on the wire, and in its events."""

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

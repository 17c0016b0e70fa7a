"""Every line of an agent, kept and judged by itself: the lab's own client ends with the first line that is no protocol."""

from __future__ import annotations

import json
import threading
import time
from itertools import count
from typing import Any

from lab.agents.client import ANSWER_WITHIN, Channel
from lab.agents.events import Event, EventLog
from lab.agents.step import StepFailed
from lab.conformance.schema import wrong_line
from lab.errors import RuntimeFault

ANSWER = "answer"
"""The name under which responses are kept among the events."""


class Talk:
    """A conversation with the agent of `element`; what does not come is a StepFailed of that element, a way to it that is lost is not."""

    def __init__(self, element: str, channel: Channel) -> None:
        self.element = element
        self.heard = EventLog()
        self.wrong: list[str] = []
        self._lost = ""
        self._channel = channel
        self._ids = count(1)
        threading.Thread(target=self._read, name=f"talk-{element}", daemon=True).start()

    def _read(self) -> None:
        try:
            self._take_all()
        except (RuntimeFault, OSError) as error:
            self._lost = str(error)
        self.heard.close("end of output")

    def _take_all(self) -> None:
        for line in self._channel.lines():
            if problem := wrong_line(line):
                self.wrong.append(f"{problem}: {line[:120]!r}")
                continue
            message = json.loads(line)
            self.heard.append(Event(str(message.get("event", ANSWER)), message, time.time()))

    def send(self, line: bytes) -> int:
        """Write a line as it is; the position in `heard` from which on its effects are."""
        position = len(self.heard)
        self._channel.send(line)
        return position

    def request(self, method: str, *, within: float = ANSWER_WITHIN, **params: object) -> dict[str, Any]:
        """The whole answer to a request."""
        number = next(self._ids)
        start = self.send(json.dumps({"id": number, "method": method, "params": params}).encode())
        return self.answer(number, start, within=within, about=method)

    def answer(self, number: int | None, start: int, *, about: str, within: float = ANSWER_WITHIN) -> dict[str, Any]:
        """The answer with this id, from position `start` on. RuntimeFault where the engine lost the agent's output."""
        event = self.heard.wait(lambda e: e.name == ANSWER and e.data["id"] == number, within=within, start=start)
        if event is None and self._lost:
            raise RuntimeFault(f"{self.element}: {about}: its output broke off: {self._lost}")
        if event is None:
            why = "; ".join([*self.wrong[:1], *([self.heard.closed] if self.heard.closed else [])])
            raise StepFailed(f"no answer within {within:g} s to {about}{': ' if why else ''}{why}", element=self.element, step="answer")
        return event.data

    def nothing_wrong(self) -> None:
        """StepFailed where a line was no protocol."""
        if self.wrong:
            raise StepFailed(f"on its output: {self.wrong[0]}", element=self.element, step="output")

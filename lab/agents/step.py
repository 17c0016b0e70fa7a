"""How a step of a scenario ends: an outcome that a scenario can assert, or a failure that names side and step."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace

from lab.falsehood import remember

_local = threading.local()

SENDS = {
    "register": "REGISTER", "unregister": "REGISTER", "call.invite": "INVITE", "call.hold": "INVITE", "call.resume": "INVITE",
    "call.cancel": "CANCEL", "call.bye": "BYE", "call.refer": "REFER", "message.send": "MESSAGE", "subscribe": "SUBSCRIBE",
}  # fmt: skip
"""Method of the agent contract -> the SIP request that it makes an element send."""


class StepFailed(AssertionError):
    """A step that a scenario takes for granted did not happen.

    `element` is the side that was waited for, `step` what was attempted, `trace` the SIP method (and optionally `status`) whose way
    through the network tells who is really to blame.
    """

    def __init__(self, what: str, *, element: str, step: str, trace: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.element = element
        self.step = step
        self.trace = trace


@dataclass(frozen=True)
class Outcome:
    """What became of a step. Truthy where it is what was asked for; a falsy one remembers itself so that the verdict can quote it."""

    ok: bool
    what: str
    element: str
    step: str
    code: int | None = None
    reason: str = ""
    trace: str = ""
    details: dict[str, object] = field(default_factory=dict)

    def __bool__(self) -> bool:
        if not self.ok:
            remember(self)
        return self.ok

    def __repr__(self) -> str:
        return f"<{self.element} {self.step}: {self.what}>"

    def coded(self, *codes: int) -> Outcome:
        """The same outcome, not what was asked for where the element tells another code than these. Not every vendor tells one."""
        if self.code in (None, *codes):
            return self
        return replace(self, ok=False, what=f"{self.what} with {self.code}, should be {' or '.join(map(str, codes))}", trace="")

    @property
    def refused(self) -> Outcome:
        """Truthy where the element *said* that it failed: silence until the deadline is neither success nor refusal."""
        said_no = not self.ok and bool(self.details.get("final"))
        return replace(self, ok=said_no, what=f"was {self.what}, should have been refused" if not said_no else self.what)

    @property
    def failed(self) -> Outcome:
        """Truthy where it is not what was asked for, be it by a word or by silence."""
        return replace(self, ok=not self.ok, what=f"{self.what}, should have failed" if self.ok else self.what)

    def required(self) -> Outcome:
        """The same outcome, or StepFailed where it is not what was asked for."""
        if not self.ok:
            raise StepFailed(f"{self.element}: {self.step}: {self.what}", element=self.element, step=self.step, trace=self.trace)
        return self


def told(element: str, method: str) -> None:
    """An element was told to do this: if its request is never seen, the element is whom to ask."""
    if method in SENDS:
        _senders()[SENDS[method]] = element


def sender(method: str) -> str:
    """The element that was last told to do what sends this SIP method; empty where none was."""
    return _senders().get(method, "")


def _senders() -> dict[str, str]:
    if not hasattr(_local, "senders"):
        _local.senders = {}
    found: dict[str, str] = _local.senders
    return found


def forget() -> None:
    """Start afresh, before a scenario."""
    _local.senders = {}

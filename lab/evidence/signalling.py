"""SIP messages of a scenario, and what can be asserted of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import overload

from lab.errors import EvidenceError
from lab.evidence.check import Check
from lab.evidence.directory import Directory
from lab.evidence.message import SipMessage, uri_host, via_host

Predicate = Callable[[SipMessage], bool]
Step = str | int


class Signalling(Sequence[SipMessage]):
    """A selection of messages in capture order. Queries narrow it, assertions give a `Check`, or EvidenceError where it is empty."""

    def __init__(self, messages: Sequence[SipMessage], directory: Directory, about: str = "in this scenario") -> None:
        self._messages, self._directory, self._about = tuple(messages), directory, about

    def __len__(self) -> int:
        return len(self._messages)

    @overload
    def __getitem__(self, index: int) -> SipMessage: ...

    @overload
    def __getitem__(self, index: slice) -> Signalling: ...

    def __getitem__(self, index: int | slice) -> SipMessage | Signalling:
        if isinstance(index, slice):
            return Signalling(self._messages[index], self._directory, self._about)
        return self._messages[index]

    def __iter__(self) -> Iterator[SipMessage]:
        return iter(self._messages)

    def __repr__(self) -> str:
        if not self._messages:
            return f"<no SIP message {self._about}>"
        return (
            f"<{len(self)} SIP messages {self._about}: "
            + ", ".join(message.label for message in self[:8])
            + (" …>" if len(self) > 8 else ">")
        )

    # -- queries --------------------------------------------------------------------------------------------------------------------

    def where(self, predicate: Predicate, about: str = "that match") -> Signalling:
        """Messages for which `predicate` holds; `about` words the selection in errors."""
        return Signalling([m for m in self if predicate(m)], self._directory, f"{self._about}, {about}")

    def requests(self, method: str = "") -> Signalling:
        """Requests, of one method where given."""
        return self.where(lambda m: m.is_request and method in ("", m.method), f"{method or 'any'} requests")

    def responses(self, status: int | None = None, method: str = "") -> Signalling:
        """Responses, with that code and to that method where given."""
        return self.where(
            lambda m: not m.is_request and status in (None, m.status) and method in ("", m.method),
            f"{status or 'any'} responses {method}".strip(),
        )

    def between(self, one: str, other: str) -> Signalling:
        """Messages of these two elements, both directions."""
        return self.where(lambda m: {m.src.element, m.dst.element} == {one, other}, f"between {one} and {other}")

    def sent_by(self, element: str) -> Signalling:
        """Messages that left this element."""
        return self.where(lambda m: m.src.element == element, f"sent by {element}")

    def received_by(self, element: str) -> Signalling:
        """Messages that reached this element."""
        return self.where(lambda m: m.dst.element == element, f"received by {element}")

    def call(self, call_id: str) -> Signalling:
        """Messages with this Call-ID."""
        return self.where(lambda m: m.call_id == call_id, f"of Call-ID {call_id}")

    @property
    def call_ids(self) -> tuple[str, ...]:
        """Every Call-ID, in order of appearance."""
        return tuple(dict.fromkeys(m.call_id for m in self if m.call_id))

    # -- assertions -----------------------------------------------------------------------------------------------------------------

    def _evidence(self) -> Signalling:
        if not self._messages:
            raise EvidenceError(f"no SIP message captured {self._about}", remedy="look at capture.pcapng")
        return self

    def all_over(self, transport: str) -> Check:
        """Every message went over `transport`."""
        for message in self._evidence():
            if message.transport != transport:
                what = f"{message.label} went from {message.src} to {message.dst} over {message.transport}, not {transport}"
                return Check(False, what, message.src.name, message.frame)
        return Check(True, f"all {len(self)} messages over {transport}")

    def passed_through(self, *proxies: str, method: str = "INVITE") -> Check:
        """The request reached its target through these proxies, in this order, each in Via and (of a dialog's request) in Record-Route.

        Judged on every first request of `method` outside a dialog, as its last recipient saw it (RFC 3261 §16.6).
        """
        firsts = self.requests(method).where(lambda m: not m.to_tag, "outside a dialog")._evidence()
        for call_id in firsts.call_ids:
            last = max(firsts.call(call_id), key=lambda m: len(m.header_values("Via")))
            names = ("Via",) if method not in ("INVITE", "SUBSCRIBE", "REFER") else ("Via", "Record-Route")
            for name in names:
                missing = self._missing(last, name, proxies)
                if missing:
                    what = f"{last.label} reached {last.dst} without {missing[0]} in {name} (there: {', '.join(missing[1]) or 'nobody'})"
                    return Check(False, what, missing[0], last.frame)
        return Check(True, f"{method} passed through {', '.join(proxies)}")

    def _missing(self, message: SipMessage, name: str, proxies: tuple[str, ...]) -> tuple[str, list[str]] | None:
        host = via_host if name == "Via" else uri_host
        found = [self._directory.host(host(value)) or host(value) for value in message.header_values(name)]
        there = list(reversed(found))
        for proxy in proxies:
            if proxy not in there:
                return proxy, list(reversed(found))
            there = there[there.index(proxy) + 1 :]
        return None

    def on_every_hop(self, method: str, *path: str) -> Check:
        """A request of `method` was seen on every hop, and on every hop a 2xx to it.

        The hops are those between neighbours of `path` (`"alice", "pa", "pb", "bob"`), or else those that the first INVITE took.
        """
        pairs = {frozenset(pair) for pair in pairwise(path)} or self._hops()
        for pair in sorted(pairs, key=sorted):
            on_hop = self.where(lambda m, pair=pair: {m.src.element, m.dst.element} == pair)  # type: ignore[misc]
            name = " – ".join(sorted(pair))
            request = on_hop.requests(method)
            if not request:
                return Check(False, f"no {method} between {name}")
            if not on_hop.responses(method=method).where(lambda m: 200 <= (m.status or 0) < 300):
                return Check(False, f"no 2xx to {method} between {name}", request[0].dst.name, request[0].frame)
        return Check(True, f"{method} and its 2xx on all {len(pairs)} hops")

    def _hops(self) -> set[frozenset[str]]:
        invites = self.requests("INVITE")._evidence()
        return {frozenset((m.src.name, m.dst.name)) for m in invites.call(invites[0].call_id)}

    def same_branch(self, first: str, second: str) -> Check:
        """On every hop `second` (CANCEL, ACK to a refusal) carries the branch of the `first` it belongs to (RFC 3261 §9.1, §17.1.1.3)."""
        seconds = self.requests(second)._evidence()
        for message in seconds:
            same = self.call(message.call_id).requests(first).where(lambda m, of=message: m.cseq == of.cseq and m.dst == of.dst)  # type: ignore[misc]
            branches = {m.branch for m in same}
            if message.branch not in branches:
                theirs = ", ".join(sorted(branches)) or "was not seen"
                what = f"{second} from {message.src} has branch {message.branch or 'none'}, its {first} {theirs}"
                return Check(False, what, message.src.name, message.frame)
        return Check(True, f"all {len(seconds)} {second} have the branch of their {first}")

    def order(self, *steps: Step, at: str = "") -> Check:
        """These steps (a method or a status code) happened in this order, others in between allowed; seen at element `at` where given."""
        seen = self.where(lambda m: at in (m.src.element, m.dst.element), f"at {at}") if at else self
        position, last = 0, None
        messages = list(seen._evidence())
        for step in steps:
            found = next((i for i in range(position, len(messages)) if _is(messages[i], step)), None)
            if found is None:
                after = f" after {last.label}" if last else ""
                return Check(False, f"no {step}{after}{f' at {at}' if at else ''}", "", last.frame if last else None)
            position, last = found + 1, messages[found]
        return Check(True, f"{', '.join(str(step) for step in steps)} in this order")


def _is(message: SipMessage, step: Step) -> bool:
    return message.status == step if isinstance(step, int) else message.is_request and message.method == step

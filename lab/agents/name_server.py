"""The lab's name server in a scenario's hand: what it shall answer instead of what its zones say, and what it was asked."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from lab.agents.client import AgentClient
from lab.agents.driven import Driven
from lab.agents.step import Outcome


@dataclass(frozen=True)
class DnsQuery:
    """A query that reached the name server. `rcode` is None where it kept silent, `fault` names the fault that struck, `t` is the server's
    clock in seconds since the epoch."""

    seq: int
    t: float
    transport: str
    client: str
    port: int
    name: str
    type: str
    rcode: str | None
    fault: str | None


class NameServer(Driven):
    """Drives the element that answers for the lab's zones. The kinds of faults and their parameters are those of a topology's `faults`.

    `addresses` are those of each element, by which it knows who asks.
    """

    def __init__(self, client: AgentClient, addresses: Mapping[str, Collection[str]]) -> None:
        super().__init__(client)
        self._addresses = addresses

    def fault(self, kind: str, name: str | None = None, type: str | None = None, **parameters: object) -> str:
        """From now on this, for questions that match: a glob on the name, a record type, `source` an element. The newest one wins.

        `every=2` strikes every other question, `times=1` only the first. The fault's id, which `queries` and `clear` know.
        """
        known: dict[str, Any] = {member: value for member, value in {"name": name, "type": type, **parameters}.items() if value is not None}
        return str(self.client.request("fault.set", kind=kind, **known)["fault"])

    def answer(self, name: str, kind: str, *data: str) -> str:
        """From now on these records, in zone-file form, are all that `name` has of this type; without any it has none. TTL 0: nobody keeps
        them beyond the scenario."""
        return self.fault("override", name, kind, records=[{"type": kind, "data": text, "ttl": 0} for text in data])

    def clear(self, fault: str | None = None) -> None:
        """Lift one fault, or all, those of the topology too."""
        self.client.request("fault.clear", fault=fault)

    def queries(self, name: str = "*", *, fault: str | None = None) -> list[DnsQuery]:
        """What it was asked since the scenario began: names that match the glob, and only what that fault struck where one is given."""
        found: list[DnsQuery] = []
        more = True
        while more:
            answer = self.client.request("queries", after=found[-1].seq if found else 0)
            found += [DnsQuery(**query) for query in answer["queries"]]
            more = bool(answer["more"])
        return [query for query in found if fnmatchcase(query.name, name.lower()) and fault in (None, query.fault)]

    def asked(self, by: str, name: str, *, fault: str | None = None, fewer_than: int | None = None) -> Outcome:
        """This element asked for a name that matches the glob, and met that fault where one is given; `fewer_than` so many times, where
        more would be a loop. KeyError where no element of this lab is called so."""
        theirs = [query for query in self.queries(name, fault=fault) if query.client in self._addresses[by]]
        enough = 0 < len(theirs) < (fewer_than or len(theirs) + 1)
        return Outcome(enough, f"asked {len(theirs)} times for {name}", by, "DNS")

    def struck(self, fault: str, within: float, *, by: str) -> Outcome:
        """A query of this element met this fault. KeyError where no element of this lab is called so."""
        theirs = self._addresses[by]
        event = self.client.events.wait(
            lambda e: e.matches("fault.struck", fault=fault) and e.data.get("client") in theirs, within=within, start=self.began
        )
        what = f"asked for {event.data.get('type')} of {event.data.get('name')}" if event else f"asked for none of it within {within:g} s"
        return Outcome(event is not None, what, by, f"fault {fault}")

"""The lab's name server in a scenario's hand: what it shall answer instead of what its zones say, and what it was asked."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

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
    """Drives the element that answers for the lab's zones. The kinds of faults and their parameters are those of a topology's `faults`."""

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

    def struck(self, fault: str, within: float) -> Outcome:
        """A query met this fault."""
        event = self.client.events.wait(lambda e: e.matches("fault.struck", fault=fault), within=within, start=self.began)
        what = f"asked for {event.data.get('type')} of {event.data.get('name')}" if event else f"not asked within {within:g} s"
        return Outcome(event is not None, what, self.client.element, f"fault {fault}")

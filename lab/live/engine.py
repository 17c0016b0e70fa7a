"""What the engine alone tells of labs: everybody's, whoever keeps them up."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lab.errors import SpecError
from lab.live.found import Found
from lab.runtime.base import Found as Item
from lab.runtime.base import Runtime
from lab.runtime.labels import ELEMENT, LAB, MARK, OWNER, RUN, Owner
from lab.spec.names import nearest


@dataclass(frozen=True)
class Seen:
    """A lab on the engine. `keeper` says whose it is, `elements` are its containers without the helper."""

    lab: str
    topology: str
    keeper: str
    elements: tuple[str, ...]
    objects: tuple[Item, ...]

    def to_dict(self) -> dict[str, object]:
        """For programs."""
        items = [{"kind": item.kind, "name": item.name} for item in self.objects]
        return {"lab": self.lab, "topology": self.topology, "keeper": self.keeper, "elements": list(self.elements), "objects": items}


def seen(runtime: Runtime, kept: Sequence[Found]) -> list[Seen]:
    """All labs on the engine, `kept` being those that are kept up from here."""
    found: dict[str, list[Item]] = {}
    for item in runtime.inventory({MARK: "1"}):
        found.setdefault(item.labels.get(LAB, "?"), []).append(item)
    ours = {lab.lab: lab for lab in kept}
    host = runtime.info().host if found else ""
    return [_seen(lab, items, ours.get(lab), host) for lab, items in sorted(found.items())]


def _seen(lab: str, items: Sequence[Item], kept: Found | None, host: str) -> Seen:
    names = (item.labels.get(ELEMENT, "") for item in items if item.kind == "container")
    elements = tuple(sorted(name for name in names if name and name != "helper"))
    topology = str(kept.status["topology"]) if kept else ""
    return Seen(lab, topology, _keeper(items[0], kept, host), elements, tuple(items))


def _keeper(item: Item, kept: Found | None, host: str) -> str:
    try:
        owner = Owner.parse(item.labels.get(OWNER, ""))
    except ValueError:
        return "unknown"
    if kept is not None:
        return f"siplab up, process {owner.pid}"
    if owner.dead(Owner.current(), host):
        return "dead: `siplab down` removes it"
    run = item.labels.get(RUN, "")
    return f"process {owner.pid} on {owner.host}" + (f", run {run}" if run else "")


def container(runtime: Runtime, lab: str, element: str) -> str:
    """The handle of an element's container; SpecError where the lab has none of that name."""
    there: dict[str, str] = dict(_containers(runtime, lab))
    if element not in there:
        raise SpecError(f'lab {lab} has no element "{element}"', remedy=nearest(element, there) if there else "see `siplab ps`")
    return there[element]


def _containers(runtime: Runtime, lab: str) -> Iterator[tuple[str, str]]:
    for item in runtime.inventory({MARK: "1", LAB: lab}):
        if item.kind == "container" and item.labels.get(ELEMENT):
            yield item.labels[ELEMENT], item.handle

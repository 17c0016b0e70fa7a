"""Negative controls and who can play them: an element that is to be wrong may need a vendor that knows how."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from lab.plan.binding import Binding, Selection, pairings, plainest_first
from lab.spec.references import able_to
from lab.spec.role import SERVERS
from lab.spec.topology import Topology
from lab.spec.vendor import Vendor

MISBEHAVE = "misbehave="
"""Begins a control that a user agent plays: what follows is one of the `misbehaviours` of its vendor's manifest."""


@dataclass(frozen=True)
class Control:
    """What a scenario's control does to which element."""

    element: str
    how: str

    @classmethod
    def parse(cls, text: str) -> Control:
        """`element how`, as the collection tells it."""
        element, _, how = text.partition(" ")
        return cls(element, how)

    @property
    def misbehaviour(self) -> str:
        """The name that the vendor's manifest has to list; nothing where any vendor will do."""
        return self.how.removeprefix(MISBEHAVE) if self.how.startswith(MISBEHAVE) else ""

    def playable(self, selections: Mapping[str, Selection], vendors: Mapping[str, Vendor]) -> bool:
        """Can it be played as these elements are bound, as far as the manifests tell? A server's names are its own: trying tells."""
        bound = selections.get(self.element)
        return not self.misbehaviour or (bound is not None and self.misbehaviour in vendors[bound.vendor].misbehaviours)

    def promising(self, topology: Topology, selections: Mapping[str, Selection], vendors: Mapping[str, Vendor]) -> bool:
        """It is playable, and a server that it is for has a command for misbehaviour."""
        bound = selections.get(self.element)
        return self.playable(selections, vendors) and (bound is None or bound.vendor in self.able(topology, vendors))

    def able(self, topology: Topology, vendors: Mapping[str, Vendor]) -> list[str]:
        """Vendors that could play it."""
        spec = topology.elements.get(self.element)
        return [name for name in able_to(spec, vendors) if self._known_to(vendors[name], spec.role)] if spec else []

    def _known_to(self, vendor: Vendor, role: str) -> bool:
        if self.misbehaviour:
            return self.misbehaviour in vendor.misbehaviours
        return role not in SERVERS or not self.how or "misbehave" in vendor.playing(role).control


@dataclass(frozen=True)
class Stage:
    """A pairing on which some scenarios' controls are played. `binds` is how a command line asks for it."""

    binding: Binding
    binds: tuple[str, ...]
    scenarios: tuple[str, ...]


def stages(
    topology: Topology, bindings: Sequence[Binding], chosen: Collection[str], controls: Mapping[str, str], vendors: Mapping[str, Vendor]
) -> list[Stage]:
    """Every control on the first pairing that can play it, of those most like the topology as it is written; where none can, on the first
    with that element bound to a vendor that can.

    `chosen` are the elements that the bindings were made of, `controls` maps scenarios to controls as the collection tells them. A control
    that no vendor can play stays on the first pairing, which tells why.
    """
    grouped: dict[str, tuple[Binding, list[str], set[str]]] = {}
    bindings = plainest_first(bindings, topology, vendors)
    for scenario, text in controls.items():
        control = Control.parse(text)
        able = control.able(topology, vendors)
        fitting = [binding for binding in bindings if control.promising(topology, binding.selections, vendors)]
        named, binding = set(chosen), (fitting or bindings)[0]
        if able and not fitting:
            named.add(control.element)
            binding = _rebound(topology, binding, control.element, Selection(able[0], vendors[able[0]].default), named, vendors)
        grouped.setdefault(binding.id, (binding, [], named))[1].append(scenario)
    return [
        Stage(binding, tuple(f"{name}={binding.selections[name]}" for name in sorted(named)), tuple(scenarios))
        for binding, scenarios, named in grouped.values()
    ]


def _rebound(
    topology: Topology, binding: Binding, element: str, selection: Selection, named: Collection[str], vendors: Mapping[str, Vendor]
) -> Binding:
    selections = {**binding.selections, element: selection}
    (found,) = pairings(topology, {name: [selections[name]] for name in named}, vendors)
    return found


def unplayable(text: str, topology: Topology, binding: Binding, vendors: Mapping[str, Vendor]) -> str:
    """Why a control cannot be played on this pairing, in one line; nothing where it can."""
    control = Control.parse(text)
    if control.playable(binding.selections, vendors):
        return ""
    able = ", ".join(control.able(topology, vendors)) or "none"
    bound = binding.selections.get(control.element)
    return f"{control.element} ({bound}) has no misbehaviour {control.misbehaviour}; vendors that have: {able}"

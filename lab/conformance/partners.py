"""Who plays the other sides of a check: for each cell the first vendor that declares what it needs, and another where that one failed.

Pure. Cells that have the same partners share a lab.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lab.conformance.probes import Subject
from lab.errors import PlanError
from lab.plan.binding import Selection
from lab.spec.names import nearest
from lab.spec.topology import Topology
from lab.spec.vendor import Vendor
from lab.verdict.model import Cell, Status

Scenario = Mapping[str, Any]
"""A cell to be, as a collection describes it: `scenario`, `topology`, `needs`, `file`, `test`."""


@dataclass(frozen=True)
class Group:
    """Scenarios for one lab; `bound` says who plays whom."""

    topology: str
    bound: Mapping[str, Selection]
    scenarios: tuple[Scenario, ...]


@dataclass
class Partners:
    """The choice for one check. `ranked` holds the candidates of each role, the best first."""

    subject: Subject
    under_test: Selection
    topologies: Mapping[str, Topology]
    vendors: Mapping[str, Vendor]
    ranked: Mapping[str, Sequence[Selection]]
    _chosen: dict[str, dict[str, Selection]] = field(default_factory=dict)
    _tried: dict[tuple[str, str], set[Selection]] = field(default_factory=dict)

    def first(self, scenarios: Sequence[Scenario]) -> list[Group]:
        """Every scenario with the best partners that can do what it needs; the best ones where nobody can, which its cell then tells."""
        for scenario in scenarios:
            name = str(scenario["scenario"])
            self._chosen[name] = {role: self._able(scenario, role) or ranked[0] for role, ranked in self.ranked.items()}
        return self._grouped(scenarios)

    def again(self, scenarios: Sequence[Scenario], cells: Iterable[Cell]) -> list[Group]:
        """The scenarios that failed for a partner's sake, with another one in its place; empty where nobody is left to try."""
        last = {cell.scenario: cell.verdict for cell in cells}
        left = []
        for scenario in scenarios:
            name = str(scenario["scenario"])
            verdict = last.get(name)
            role = self._roles(scenario).get(verdict.blame, "") if verdict and verdict.status in (Status.FAIL, Status.XFAIL) else ""
            other = self._able(scenario, role) if role else None
            if other:
                self._chosen[name] = {**self._chosen[name], role: other}
                left.append(scenario)
        return self._grouped(left)

    def _roles(self, scenario: Scenario) -> dict[str, str]:
        """Element -> role, of the partners in the scenario's topology."""
        ground = self.subject.on(str(scenario["topology"]))
        elements = self.topologies[ground.topology].elements
        return {name: e.role for name, e in elements.items() if e.role in ground.partners and name != ground.under_test}

    def _able(self, scenario: Scenario, role: str) -> Selection | None:
        """The best candidate for a role that declares all that its elements need here, and has not been tried."""
        specs = self.topologies[str(scenario["topology"])].elements
        elements = [name for name, each in self._roles(scenario).items() if each == role]
        needs = {capability for name in elements for capability in (*scenario["needs"].get(name, ()), *specs[name].needs)}
        tried = self._tried.get((str(scenario["scenario"]), role), set())
        able = (c for c in self.ranked[role] if c not in tried and needs <= self.vendors[c.vendor].playing(role).capabilities_of(c.flavour))
        return next(able, None)

    def _grouped(self, scenarios: Sequence[Scenario]) -> list[Group]:
        groups: dict[tuple[str, tuple[tuple[str, Selection], ...]], list[Scenario]] = {}
        for scenario in scenarios:
            name, chosen = str(scenario["scenario"]), self._chosen[str(scenario["scenario"])]
            for role, selection in chosen.items():
                self._tried.setdefault((name, role), set()).add(selection)
            own = self.subject.on(str(scenario["topology"])).under_test
            bound = {own: self.under_test, **{e: chosen[role] for e, role in self._roles(scenario).items()}}
            groups.setdefault((str(scenario["topology"]), tuple(bound.items())), []).append(scenario)
        return [Group(topology, dict(bound), tuple(found)) for (topology, bound), found in groups.items()]


def rank(subject: Subject, under_test: Selection, known: Mapping[str, Vendor], against: str = "") -> dict[str, list[Selection]]:
    """The candidates of each role: who declares most comes first, the vendor under test itself last. `against` leaves one of its role.

    PlanError where there is nobody.
    """
    ranked = {role: list(_candidates(role, under_test, known)) for role in subject.partners}
    if against:
        name, _, flavour = against.partition("@")
        role = next((role for role in subject.partners if name in known and role in known[name].roles), "")
        if not role:
            able = [each for each, vendor in known.items() if set(subject.partners) & set(vendor.roles)]
            raise PlanError(f'--against: "{name}" is no {" and no ".join(subject.partners)}', remedy=nearest(name, able))
        ranked[role] = [Selection(name, flavour or known[name].default)]
    for role, found in ranked.items():
        if not found:
            raise PlanError(f"no {role} to check {under_test.vendor} against", remedy="name one with --against")
    return ranked


def _candidates(role: str, under_test: Selection, known: Mapping[str, Vendor]) -> Iterator[Selection]:
    able = [vendor for vendor in known.values() if role in vendor.roles and vendor.name != under_test.vendor]
    for vendor in sorted(able, key=lambda vendor: (-len(vendor.playing(role).capabilities_of(vendor.default)), vendor.name)):
        yield Selection(vendor.name, vendor.default)
    if under_test.vendor in known and role in known[under_test.vendor].roles:
        yield under_test

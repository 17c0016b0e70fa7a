"""One check: the cells of a subject, each on a lab with partners that can do what it takes, and what follows from them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lab.conformance import cases
from lab.conformance.conclusion import Conclusion, conclude
from lab.conformance.partners import Group, Partners, Scenario, rank
from lab.conformance.probes import subject_of
from lab.errors import PlanError
from lab.plan.binding import Binding, Selection, pairings
from lab.report import run as runs
from lab.report.write import write_reports
from lab.schedule import Job, Say, Schedule, collect
from lab.session.external import name_of
from lab.session.selection import Runtime, external_images, images_for, select
from lab.spec.catalog import load_topology
from lab.spec.names import nearest

Progress = Callable[[Mapping[str, int]], AbstractContextManager[Say]]
"""Given the number of cells of each pairing, and gives whom to tell how it goes."""

ROUNDS = 4
"""How often a cell is run at most: it is only repeated where a partner, not the vendor under test, was to blame, with another partner."""
ANY_TOPOLOGY = "trapezoid"


@dataclass(frozen=True)
class Limits:
    """How much at a time, and for how many seconds a lab may run."""

    parallel: int
    timeout: float


class Check:
    """The check of one vendor; `name` is VENDOR[@FLAVOUR], an image, or a folder with a Dockerfile.

    `against` chooses the partner of one role, `role` which of its own is checked, `lines` narrow it to those that have one of them in
    their name: then it is `partial`. PlanError where the vendor has no role that can be checked, or there is nobody to check it against.
    """

    def __init__(self, name: str, external: Sequence[str], against: str, role: str = "", lines: Sequence[str] = ()) -> None:
        if set("/:") & set(name):
            external, name = (*external, f"{name_of(name)}={name}"), name_of(name)
        self._external = tuple(external)
        self.selected = select(ANY_TOPOLOGY, [], external=external)
        vendors = self.selected.vendors
        vendor, _, flavour = name.partition("@")
        if vendor not in vendors:
            raise PlanError(f'unknown vendor "{vendor}"', remedy=nearest(vendor, vendors))
        self.subject = subject_of(vendors[vendor], role)
        self.further_role = self.subject.role if self.subject is not subject_of(vendors[vendor]) else ""
        self.subject = self.subject.narrowed(lines)
        self.partial = bool(lines)
        self.under_test = Selection(vendor, flavour or vendors[vendor].default)
        if self.under_test.flavour not in vendors[vendor].flavours:
            raise PlanError(f'vendor "{vendor}" has no flavour "{flavour}"', remedy=nearest(flavour, vendors[vendor].flavours))
        root = self.selected.root
        self._topologies = {g.topology: load_topology(g.topology, root).assuming(g.under_test) for g in self.subject.grounds}
        ranked = rank(self.subject, self.under_test, vendors, against)
        self._partners = Partners(self.subject, self.under_test, self._topologies, vendors, ranked)
        self.scenarios: list[Scenario] = list(self._wanted().values())
        self._groups = self._partners.first(self.scenarios)
        self._images: dict[tuple[str, str], str] = {}

    def _wanted(self) -> dict[str, Scenario]:
        """The cells to run, each on the first of the subject's topologies that has it."""
        found: dict[str, Scenario] = {}
        for name in self._topologies:
            if missing := self.subject.wanted - found.keys():
                items = collect(self.selected.root, name, [cases.__path__[0]])
                found |= {item["scenario"]: item for item in items if item["scenario"] in missing}
        return found

    def _binding(self, group: Group) -> Binding:
        bound = {name: [selection] for name, selection in group.bound.items()}
        (binding,) = pairings(self._topologies[group.topology], bound, self.selected.vendors)
        return replace(binding, id=_prefix(group) + binding.id)

    def images(self, *progress: Any) -> None:
        """Build what the first round runs, where it is missing."""
        self._images = images_for(replace(self.selected, bindings=tuple(map(self._binding, self._groups))), *progress)

    def run(self, runtime: Runtime, limits: Limits, progress: Progress) -> runs.Run:
        """Run all cells, and again those that failed for a partner's sake; the run with its reports.

        `progress` is opened for each round.
        """
        made = runs.create(self.selected.root / "results", self._about(runtime))
        try:
            groups = self._groups
            for _ in range(ROUNDS):
                self._round(made, groups, limits, progress)
                groups = self._partners.again(self.scenarios, made.cells())
                if not groups:
                    break
        finally:
            made.update(ended=datetime.now(UTC).isoformat())
            write_reports(made)
        return made

    def _about(self, runtime: Runtime) -> dict[str, Any]:
        about = runs.about(
            ["siplab", *sys.argv[1:]],
            topology=" ".join(self.subject.topologies),
            seed=1,
            pairings=[self._binding(group).id for group in self._groups],
            scenarios={str(item["scenario"]): Path(item["file"]) for item in self.scenarios},
            engine=vars(runtime.info()),
        )
        return {**about, "external": external_images(self.selected, self._images)}

    def _round(self, made: runs.Run, groups: Sequence[Group], limits: Limits, progress: Progress) -> None:
        jobs = [self._job(made, group) for group in groups]
        with progress({job.binding.id: len(job.scenarios) for job in jobs}) as say:
            Schedule(made, jobs, limits.parallel, limits.timeout, say).execute()

    def _job(self, made: runs.Run, group: Group) -> Job:
        binding = self._binding(group)
        arguments = [f"{item['file']}::{item['test']}" for item in group.scenarios]
        arguments += ["--rootdir", str(self.selected.root), "--topology", group.topology, "--run-folder", str(made.folder)]
        arguments += ["--pairing-prefix", _prefix(group), "--assume", self.subject.on(group.topology).under_test]
        for element, selection in group.bound.items():
            arguments += ["--bind", f"{element}={selection}"]
        for text in self._external:
            arguments += ["--vendor", text]
        return Job(binding, tuple(group.bound), tuple(arguments), group.scenarios)

    def conclude(self, made: runs.Run) -> Conclusion:
        """What the run found out."""
        ran = [(about, self.subject.on(about["topology"]).under_test) for about in made.pairings().values() if "topology" in about]
        cells = made.cells()
        partners = {
            vendor for cell in cells for element, vendor in cell.binding.items() if element != self.subject.on(cell.topology).under_test
        }
        declared = self.selected.vendors[self.under_test.vendor].playing(self.subject.role).capabilities_of(self.under_test.flavour)
        if self.partial:
            declared &= self.subject.probes.keys()
        about = {
            "vendor": self.under_test.vendor,
            "flavour": self.under_test.flavour,
            "version": next((v for about, own in ran if (v := str(about.get("versions", {}).get(own, "")))), ""),
            "image": next((i for about, own in ran if (i := str(about.get("images", {}).get(own, "")))), ""),
            "against": ", ".join(sorted(partners)),
            "run": made.id,
            "checked": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        return conclude(self.subject, cells, declared, about)


def _prefix(group: Group) -> str:
    """The elements of two topologies may have the same names, and who plays them too."""
    return f"{group.topology}--"

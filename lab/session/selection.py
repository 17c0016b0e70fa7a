"""From what was asked for (a topology, bindings) to the setups of pairings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from lab.plan.binding import Binding, pairings, parse_bindings
from lab.runtime.base import Runtime
from lab.runtime.docker import DockerRuntime
from lab.runtime.image_engine import Progress, silent
from lab.runtime.images import ensure_images
from lab.runtime.reaper import sweep
from lab.session.bench import Setup
from lab.session.external import External, open_externals
from lab.session.vendors import image_keys, image_sources
from lab.spec.catalog import load_topology, project_root, vendors
from lab.spec.expectation import load_expectations
from lab.spec.topology import Topology
from lab.spec.vendor import Vendor
from lab.verdict.expectation import Expectation

__all__ = ["Binding", "Runtime", "Selected", "expectations", "images_for", "open_runtime", "select", "setup_for"]


@dataclass(frozen=True)
class Selected:
    """A topology, its vendors and the pairings that were asked for."""

    root: Path
    topology: Topology
    vendors: dict[str, Vendor]
    bindings: tuple[Binding, ...]
    chosen: tuple[str, ...] = ()
    """Elements that were bound to something; the others have the topology's vendor."""
    external: Mapping[str, External] = field(default_factory=dict)


def select(topology: str, bind: Sequence[str], root: Path | None = None, external: Sequence[str] = ()) -> Selected:
    """Load and check everything; an engine is needed for vendors from outside (`external`) only."""
    home = root or project_root()
    outside = open_externals(external, home, vendors(home), open_runtime()) if external else {}
    known = {**vendors(home), **{name: found.vendor for name, found in outside.items()}}
    loaded = load_topology(topology, home)
    choices = parse_bindings(bind, loaded, known)
    return Selected(home, loaded, known, tuple(pairings(loaded, choices, known)), tuple(choices), outside)


def images_for(selected: Selected, progress: Progress = silent) -> dict[tuple[str, str], str]:
    """Tags of all images that the selected pairings run, built where they are missing."""
    used = {(s.vendor, s.flavour) for binding in selected.bindings for s in binding.selections.values()}
    inside = {name: vendor for name, vendor in selected.vendors.items() if name not in selected.external}
    keys = image_keys(inside, sorted(key for key in used if key[0] in inside))
    images = ensure_images(image_sources(selected.root, inside), only=keys, state=selected.root / ".siplab", progress=progress)
    return images | {key: selected.external[key[0]].digest for key in used if key[0] in selected.external}


def setup_for(selected: Selected, binding: Binding, folder: Path, *, run: str = "", seed: int = 1) -> Setup:
    """A pairing ready to be brought up."""
    return Setup(
        root=selected.root,
        topology=selected.topology,
        binding=binding,
        vendors=selected.vendors,
        images=images_for(selected),
        folder=folder,
        run=run,
        seed=seed,
        folders={name: found.folder for name, found in selected.external.items() if found.folder},
    )


def open_runtime() -> Runtime:
    """The engine that labs run on, cleared of what dead owners left."""
    runtime = DockerRuntime()
    sweep(runtime)
    return runtime


def expectations(root: Path) -> list[Expectation]:
    """Known failures of this project."""
    entries = load_expectations(root / "scenarios" / "expectations.yaml")
    return [Expectation(e.scenario, dict(e.binding), e.reason, date.fromisoformat(e.expires)) for e in entries]

"""From what was asked for (a topology, bindings) to the setups of pairings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from lab.plan.binding import Binding, pairings, parse_bindings
from lab.runtime.base import Runtime
from lab.runtime.docker import DockerRuntime
from lab.runtime.docker_images import DockerImages
from lab.runtime.engine import require_engine
from lab.runtime.image_engine import Progress, silent
from lab.runtime.images import ensure_images
from lab.runtime.reaper import sweep
from lab.session.bench import Setup
from lab.session.external import External, open_externals
from lab.session.vendors import image_keys, image_sources
from lab.spec.catalog import load_topology, project_root, topology_reference, vendors
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
    reference: str
    """What names the topology to another process."""
    vendors: dict[str, Vendor]
    bindings: tuple[Binding, ...]
    chosen: tuple[str, ...] = ()
    """Elements that were bound to something; the others have the topology's vendor."""
    external: Mapping[str, External] = field(default_factory=dict)

    @property
    def folders(self) -> dict[str, Path]:
        """Where the vendors from outside are that have a folder."""
        return {name: found.folder for name, found in self.external.items() if found.folder}


def select(
    topology: str, bind: Sequence[str], root: Path | None = None, external: Sequence[str] = (), assume: Sequence[str] = ()
) -> Selected:
    """Load and check everything; an engine is needed for vendors from outside (`external`) only.

    Nothing is asked of who plays the elements in `assume`, whatever the topology needs of them.
    """
    home = root or project_root()
    outside = open_externals(external, home, vendors(home), open_runtime()) if external else {}
    known = {**vendors(home), **{name: found.vendor for name, found in outside.items()}}
    loaded = load_topology(topology, home).assuming(*assume)
    choices = parse_bindings(bind, loaded, known)
    return Selected(home, loaded, topology_reference(topology), known, tuple(pairings(loaded, choices, known)), tuple(choices), outside)


def images_for(selected: Selected, progress: Progress = silent) -> dict[tuple[str, str], str]:
    """Tags of all images that the selected pairings run, built where they are missing."""
    used = {(s.vendor, s.flavour) for binding in selected.bindings for s in binding.selections.values()}
    given = {key: selected.external[key[0]].digest for key in used if key[0] in selected.external and selected.external[key[0]].digest}
    sources = image_sources(selected.root, selected.vendors, selected.folders)
    keys = image_keys(selected.vendors, sorted(used - given.keys()))
    return ensure_images(sources, only=keys, state=selected.root / ".siplab", progress=progress) | given


def external_images(selected: Selected, images: Mapping[tuple[str, str], str]) -> dict[str, dict[str, object]]:
    """For run.json: what each vendor from outside was asked for by, and the digest of every flavour that runs."""
    if not selected.external:
        return {}
    engine = DockerImages(require_engine().address)
    return {
        name: {
            "reference": outside.reference,
            "images": {flavour: engine.find(tag) for (vendor, flavour), tag in sorted(images.items()) if vendor == name},
        }
        for name, outside in selected.external.items()
    }


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
        folders=selected.folders,
    )


def open_runtime() -> Runtime:
    """The engine that labs run on, cleared of what dead owners left."""
    runtime = DockerRuntime()
    sweep(runtime)
    return runtime


def expectations(root: Path) -> list[Expectation]:
    """Known failures of this project."""
    entries = load_expectations(root / "scenarios" / "expectations.yaml")
    return [
        Expectation(
            scenario,
            dict(binding),
            entry.match,
            entry.reason,
            date.fromisoformat(entry.expires),
            blame=entry.blame,
            permits=entry.permits,
            sometimes=bool(entry.sometimes),
            topologies=entry.topology,
        )
        for entry in entries
        for scenario in entry.scenario
        for binding in entry.binding
    ]

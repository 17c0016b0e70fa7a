"""What a shell offers where a topology, a vendor or a binding is wanted. A project that cannot be read offers nothing."""

from __future__ import annotations

from collections.abc import Iterable

import click

from lab.conformance.new import STARTED
from lab.conformance.probes import SUBJECTS
from lab.errors import LabError
from lab.live.found import Found, running
from lab.plan.binding import choices
from lab.spec.catalog import load_topology, project_root, topologies, vendors


def topology_names(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Topologies of the project."""
    try:
        return _beginning(incomplete, topologies(project_root()))
    except LabError:
        return []


def vendor_names(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """`vendor`, and `vendor@flavour` once the name is there."""
    try:
        known = vendors(project_root())
    except LabError:
        return []
    flavours = [f"{name}@{flavour}" for name, vendor in known.items() for flavour in vendor.flavours]
    return _beginning(incomplete, flavours if "@" in incomplete else [name for name, vendor in known.items() if "tool" not in vendor.roles])


def role_names(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Roles that a vendor can be started for."""
    return _beginning(incomplete, STARTED)


def checked_roles(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Roles that there is a check for."""
    return _beginning(incomplete, SUBJECTS)


def bindings(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """`element=` of the topology on the line, then what can play it; after a comma one more."""
    topology = context.params.get("topology")
    typed: tuple[str, ...] = context.params.get(parameter.name or "") or ()
    joined = "".join(typed[-2 if typed[-1:] == ("=",) else -1 :])
    if joined and "=" not in joined[:-1]:  # bash takes a word apart at its `=`, and completes what follows
        return [choice.partition("=")[2] for choice in _bindings(topology, f"{joined.removesuffix('=')}={incomplete}")]
    return _bindings(topology, incomplete)


def lab_names(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Ids of the labs that are up."""
    return _beginning(incomplete, [lab.lab for lab in _running()])


def element_names(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Elements of the lab that is meant, or of all that are up."""
    wanted = str(context.params.get("lab") or "")
    found = [element["name"] for lab in _running() if lab.lab.startswith(wanted) for element in lab.status["elements"]]
    return _beginning(incomplete, dict.fromkeys(found))


def fault_kinds(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """What the name servers of the labs that are up can do wrong, as they say in `hello`."""
    found: list[str] = []
    for lab in _running():
        try:
            found += lab.ask("agent", role="dns", method="hello")["answer"].get("faults", [])
        except LabError:
            continue
    return _beginning(incomplete, dict.fromkeys(found))


def _running() -> list[Found]:
    try:
        return running(project_root() / "results")
    except LabError:
        return []


def _bindings(topology: str | None, text: str) -> list[str]:
    try:
        root = project_root()
        loaded, known = load_topology(topology or "", root), vendors(root)
    except LabError:
        return []
    element, equals, chosen = text.partition("=")
    if not equals:
        return [f"{name}=" for name in _beginning(text, loaded.elements)]
    name = element.rpartition(",")[2]
    if name not in loaded.elements:
        return []
    before, comma, last = chosen.rpartition(",")
    return [f"{element}={before}{comma}{choice}" for choice in _beginning(last, choices(name, loaded, known))]


def _beginning(text: str, names: Iterable[str]) -> list[str]:
    return [name for name in names if name.startswith(text)]

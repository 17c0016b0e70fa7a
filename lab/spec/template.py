"""Elements that a topology writes once and has several times: `count: 3` makes `phone` into `phone1`, `phone2` and `phone3`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from lab.spec.loader import KeyPath
from lab.spec.names import LONGEST_NAME, problem
from lab.spec.topology import ElementSpec, Topology


def expanded(topology: Topology) -> tuple[Topology, Mapping[str, str]]:
    """The topology with all elements written out, and under which name the file has each.

    A number follows the name and the user part of the address of record (`phone@atlanta.example` → `phone1@atlanta.example`). In lists of
    elements (`matrix`, `start_after`, `backup`, `edges`) the template's name stands for all that it makes; elsewhere one of them has to be
    named.
    """
    origins: dict[str, str] = {}
    made: dict[str, list[str]] = {}
    for name, spec in topology.elements.items():
        made[name] = [f"{name}{number}" for number in range(1, spec.count + 1)] if spec.count else [name]
        if len(made[name][-1]) > LONGEST_NAME:
            what = f'"{made[name][-1]}" is longer than {LONGEST_NAME} characters'
            raise problem(what, "give the template a shorter name", ("elements", name))
        for each in made[name]:
            if each in origins:
                raise problem(f'"{origins[each]}" and "{name}" would both make an element "{each}"', "rename one", ("elements", name))
            origins[each] = name

    def listed(names: Iterable[str]) -> tuple[str, ...]:
        return tuple(each for name in names for each in made.get(name, [name]))

    def element(origin: str, number: int) -> ElementSpec:
        spec = topology.elements[origin]
        changes: dict[str, object] = {"start_after": listed(spec.start_after), "count": None}
        if spec.count and spec.aor:
            changes["aor"] = f"{spec.username}{number}@{spec.domain}"
        return spec.model_copy(update=changes)

    elements = {each: element(name, number) for name, names in made.items() for number, each in enumerate(names, 1)}
    domains = {
        name: spec.model_copy(update={"backup": listed(spec.backup), "edges": listed(spec.edges)})
        for name, spec in topology.domains.items()
    }
    matrix = tuple(listed(row) for row in topology.matrix)
    return topology.model_copy(update={"elements": elements, "domains": domains, "matrix": matrix}), origins


def place(path: KeyPath, origins: Mapping[str, str]) -> KeyPath:
    """Where the file has what is at `path` of the expanded topology."""
    return ("elements", origins.get(str(path[1]), str(path[1])), *path[2:]) if path[:1] == ("elements",) and len(path) > 1 else path

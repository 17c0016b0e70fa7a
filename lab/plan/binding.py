"""Who plays whom: elements bound to vendors and flavours, and the pairings that several choices make."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from lab.errors import PlanError
from lab.spec.names import nearest
from lab.spec.references import able_to
from lab.spec.topology import ElementSpec, Topology
from lab.spec.vendor import Vendor, lacking

ALL = "all"
"""In a binding: every vendor that can play the element, or with a vendor (`acme@all`) each of its flavours that can. One that does not
declare what the element `needs` cannot."""


@dataclass(frozen=True, order=True)
class Selection:
    """A vendor and one of its flavours."""

    vendor: str
    flavour: str

    def __str__(self) -> str:
        return f"{self.vendor}@{self.flavour}"


@dataclass(frozen=True)
class Binding:
    """A pairing: a selection for every element of the topology. `id` is unique in a run, stable, and fit for file names."""

    id: str
    selections: Mapping[str, Selection]


def parse_bindings(texts: Iterable[str], topology: Topology, vendors: Mapping[str, Vendor]) -> dict[str, list[Selection]]:
    """`element=vendor[@flavour][,…]` from a command line. Several for one element add up, and two elements may share one: `a,b=all`."""
    chosen: dict[str, list[Selection]] = {}
    for text in texts:
        elements, equals, choices = text.partition("=")
        if not equals or not elements.strip() or not choices.strip():
            raise PlanError(f'binding "{text}" is incomplete', remedy="write element=vendor or element=vendor@flavour")
        for element in (part.strip() for part in elements.split(",")):
            _check_element(element, topology, f'binding "{text}"')
            selections = chosen.setdefault(element, [])
            for choice in choices.split(","):
                found = _selections(choice.strip(), element, topology, vendors)
                selections.extend(selection for selection in found if selection not in selections)
    return chosen


def choices(element: str, topology: Topology, vendors: Mapping[str, Vendor]) -> list[str]:
    """What can stand behind `element=`: `all`, each vendor that can play it, and its flavours where it has several."""
    spec = topology.elements[element]
    able = able_to(spec, vendors)
    flavours = {name: _flavours(spec, vendor) for name, vendor in sorted(vendors.items()) if spec.role in vendor.roles}
    several = [
        f"{name}@{flavour}" for name, found in flavours.items() if len(vendors[name].flavours) > 1 and found for flavour in (ALL, *found)
    ]
    return [ALL, *able, *several]


def pairings(topology: Topology, bindings: Mapping[str, Iterable[Selection]], vendors: Mapping[str, Vendor]) -> list[Binding]:
    """Every combination of the choices, the first elements varying slowest. Elements without a choice keep the topology's vendor.

    The id names the first row of the matrix and every further element that was chosen: `alice-acme-1.1--bob-globex-5.3`.
    """
    choices = {name: tuple(selections) for name, selections in bindings.items()}
    for name, selections in choices.items():
        _check_element(name, topology, "bindings")
        if not selections:
            raise PlanError(f'"{name}" is bound to nothing', remedy="bind at least one vendor")
        if len(selections) > 1 and name not in topology.varied:
            remedy = f"bind one, or add it to the matrix ({', '.join(topology.varied) or 'empty'})"
            raise PlanError(
                f'"{name}" is bound to {len(selections)} vendors but topology "{topology.name}" does not vary it', remedy=remedy
            )
    named = _named(topology, choices)
    ordered = [name for name in (*topology.varied, *_rest(topology)) if name in choices]
    found = []
    for combination in product(*(choices[name] for name in ordered)):
        resolved = resolve(topology, dict(zip(ordered, combination, strict=True)), vendors)
        found.append(Binding(_identifier(named, resolved), resolved))
    return found


def plainest_first(bindings: Sequence[Binding], topology: Topology, vendors: Mapping[str, Vendor]) -> list[Binding]:
    """Those first that change least of what the topology has: the best ground to judge one element on, whoever plays the others."""

    def changed(name: str, selection: Selection) -> bool:
        vendor, _, flavour = (topology.elements[name].vendor or str(selection)).partition("@")
        return selection != Selection(vendor, flavour or vendors[vendor].default)

    return sorted(bindings, key=lambda binding: sum(changed(*item) for item in binding.selections.items()))


def resolve(topology: Topology, binding: Mapping[str, Selection], vendors: Mapping[str, Vendor]) -> dict[str, Selection]:
    """A checked selection for every element, in the topology's order: the binding's, else the topology's default."""
    for name, selection in binding.items():
        _check_element(name, topology, "binding")
        _check_selection(selection, name, topology, vendors)
    return {name: binding[name] if name in binding else _default(name, topology, vendors) for name in topology.elements}


def _named(topology: Topology, choices: Iterable[str]) -> list[str]:
    first = topology.matrix[0] if topology.matrix else ()
    bound = set(choices)
    return [*first, *(name for name in (*topology.varied[len(first) :], *_rest(topology)) if name in bound)] or list(topology.elements)


def _rest(topology: Topology) -> Iterator[str]:
    return (name for name in topology.elements if name not in topology.varied)


def _identifier(named: Iterable[str], selections: Mapping[str, Selection]) -> str:
    return "--".join(f"{name}-{selections[name].vendor}-{selections[name].flavour}" for name in named)


def _default(name: str, topology: Topology, vendors: Mapping[str, Vendor]) -> Selection:
    element = topology.elements[name]
    if element.vendor is None:
        able = ", ".join(able_to(element, vendors)) or "none"
        raise PlanError(f'"{name}" has no vendor in topology "{topology.name}"', remedy=f"bind one, such as {name}=VENDOR ({able})")
    (selection,) = _selections(element.vendor, name, topology, vendors)
    return selection


def _selections(text: str, element: str, topology: Topology, vendors: Mapping[str, Vendor]) -> list[Selection]:
    spec = topology.elements[element]
    name, _, flavour = text.partition("@")
    if text == ALL:
        able = able_to(spec, vendors)
        if not able:
            what = f" that declares {', '.join(spec.needs)}" if _able(spec.role, vendors) else ""
            where = topology.needed_at(element) if what else None
            raise PlanError(f"{element}={ALL}: no vendor can be a {spec.role}{what}", where=where, remedy="see siplab vendors")
        return [Selection(vendor, vendors[vendor].default) for vendor in able]
    vendor = _vendor(name, element, spec.role, vendors)
    able = _flavours(spec, vendor) if flavour == ALL else []
    if able:
        return [Selection(name, each) for each in able]
    selection = Selection(name, vendor.default if flavour in ("", ALL) else flavour)
    _check_selection(selection, element, topology, vendors)
    return [selection]


def _flavours(spec: ElementSpec, vendor: Vendor) -> list[str]:
    return [flavour for flavour in vendor.flavours if not lacking(vendor, flavour, spec.role, spec.needs)]


def _fitting(spec: ElementSpec, vendors: Mapping[str, Vendor]) -> Iterator[str]:
    """Who can play an element: a vendor, or its flavours where the default one cannot."""
    able = able_to(spec, vendors)
    for name in _able(spec.role, vendors):
        yield from [name] if name in able else [f"{name}@{flavour}" for flavour in _flavours(spec, vendors[name])]


def _able(role: str, vendors: Mapping[str, Vendor]) -> list[str]:
    return [name for name in sorted(vendors) if role in vendors[name].roles]


def _vendor(name: str, element: str, role: str, vendors: Mapping[str, Vendor]) -> Vendor:
    if name not in vendors:
        raise PlanError(f'{element}: unknown vendor "{name}"', remedy=nearest(name, _able(role, vendors)))
    if role not in vendors[name].roles:
        able = ", ".join(_able(role, vendors)) or "none"
        raise PlanError(f'{element}: vendor "{name}" cannot be a {role}', remedy=f"vendors that can: {able}")
    return vendors[name]


def _check_selection(selection: Selection, element: str, topology: Topology, vendors: Mapping[str, Vendor]) -> None:
    vendor = _vendor(selection.vendor, element, topology.elements[element].role, vendors)
    if selection.flavour not in vendor.flavours:
        what = f'{element}: vendor "{vendor.name}" has no flavour "{selection.flavour}"'
        raise PlanError(what, remedy=nearest(selection.flavour, vendor.flavours))
    spec = topology.elements[element]
    if absent := lacking(vendor, selection.flavour, spec.role, spec.needs):
        what = f'"{element}" needs {", ".join(absent)}, which {selection} does not declare'
        able = ", ".join(_fitting(spec, vendors)) or "none"
        raise PlanError(what, where=topology.needed_at(element), remedy=f"vendors that do: {able}")


def _check_element(name: str, topology: Topology, what: str) -> None:
    if name not in topology.elements:
        raise PlanError(f'{what}: topology "{topology.name}" has no element "{name}"', remedy=nearest(name, topology.elements))

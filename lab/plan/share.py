"""Which pairing judges what: each scenario in every pairing, or once for each binding of the elements that it is about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lab.errors import PlanError
from lab.plan.binding import Binding, plainest_first
from lab.plan.capability import Missing, missing
from lab.spec.names import nearest
from lab.spec.topology import Topology
from lab.spec.vendor import Vendor


def share(
    scenarios: Sequence[dict[str, Any]], topology: Topology, bindings: Sequence[Binding], vendors: Mapping[str, Vendor]
) -> dict[str, list[dict[str, Any]]]:
    """Which pairing runs what, by the pairing's id. A scenario that judges some elements only runs once for each of their bindings: in the
    first pairing that can do what it needs, of those that are most like the topology as it is written, so that a matrix of user agents does
    not judge its proxies once per square, nor by a partner with faults of its own.

    PlanError where a scenario is about an element that does not exist.
    """
    shares: dict[str, list[dict[str, Any]]] = {binding.id: [] for binding in bindings}
    plainest = plainest_first(bindings, topology, vendors)
    for scenario in scenarios:
        groups: dict[tuple[str, ...], list[Binding]] = {}
        for binding in plainest:
            groups.setdefault(_judged(scenario, binding), []).append(binding)
        for group in groups.values():
            able = [binding for binding in group if not _lacking(scenario, binding, vendors, topology)]
            shares[(able or group)[0].id].append(scenario)
    return shares


def _lacking(scenario: Mapping[str, Any], binding: Binding, vendors: Mapping[str, Vendor], topology: Topology) -> list[Missing]:
    try:
        return missing(binding, scenario["needs"], vendors, topology)
    except PlanError as error:
        raise PlanError(f"{scenario['scenario']}: {error.what}", remedy=error.remedy) from None


def _judged(scenario: Mapping[str, Any], binding: Binding) -> tuple[str, ...]:
    if not scenario["about"]:
        return (binding.id,)
    for element in scenario["about"]:
        if element not in binding.selections:
            raise PlanError(f'{scenario["scenario"]}: about names no element "{element}"', remedy=nearest(element, binding.selections))
    return tuple(str(binding.selections[element]) for element in scenario["about"])

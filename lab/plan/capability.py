"""The capability join: which needs of a scenario the bound vendors do not declare. Made before anything starts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from lab.errors import PlanError
from lab.plan.binding import Binding, Selection
from lab.spec.capability import CAPABILITIES
from lab.spec.names import nearest
from lab.spec.role import SERVERS
from lab.spec.topology import Topology
from lab.spec.vendor import Vendor

CONTROL = "control:"
"""Begins a need for a control command of the manifest, such as `control:misbehave`: what the lab does, not the software."""


class Missing(NamedTuple):
    """A side that makes a cell `unsupported`: `vendor` is `vendor@flavour`."""

    element: str
    vendor: str
    capability: str

    def __str__(self) -> str:
        return f"{self.element} ({self.vendor}) does not support {self.capability}"


def missing(
    bound: Binding | Mapping[str, Selection], needs: Mapping[str, Iterable[str]], vendors: Mapping[str, Vendor], topology: Topology
) -> list[Missing]:
    """What is needed and not declared, in the order of `needs`; empty where the cell can run.

    PlanError where `needs` names an element that is not there or a capability that does not exist: a typo must not skip a scenario.
    """
    selections = bound.selections if isinstance(bound, Binding) else bound
    found = []
    for element, capabilities in _with_families(needs, topology).items():
        if element not in selections:
            raise PlanError(f'needs: unknown element "{element}"', remedy=nearest(element, selections))
        selection = selections[element]
        declared = _declared(selection, element, vendors, topology.elements[element].role)
        for capability in capabilities:
            if not capability.startswith(CONTROL) and capability not in CAPABILITIES:
                raise PlanError(f'needs of {element}: unknown capability "{capability}"', remedy=nearest(capability, CAPABILITIES))
            if capability not in declared:
                found.append(Missing(element, str(selection), capability))
    return found


def _with_families(needs: Mapping[str, Iterable[str]], topology: Topology) -> dict[str, list[str]]:
    """The scenario's needs, and what the topology asks of every element that speaks SIP: where it has no IPv4, `ipv6`."""
    wanted = {element: list(capabilities) for element, capabilities in needs.items()}
    for name, spec in topology.elements.items():
        if spec.role in (*SERVERS, "user-agent") and not any(topology.networks[each].ipv4 for each in topology.networks_of(name)):
            wanted[name] = list(dict.fromkeys((*wanted.get(name, ()), "ipv6")))
    return wanted


def _declared(selection: Selection, element: str, vendors: Mapping[str, Vendor], role: str) -> frozenset[str]:
    vendor = vendors.get(selection.vendor)
    if vendor is None or selection.flavour not in vendor.flavours:
        raise PlanError(f"{element}: {selection} is not a known vendor and flavour", remedy=nearest(selection.vendor, vendors))
    played = vendor.playing(role)
    return played.capabilities_of(selection.flavour) | {f"{CONTROL}{command}" for command in played.control}

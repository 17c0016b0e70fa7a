"""What a lab stands on: its networks as they are wanted, the helper's work on them, and who proves from inside that they are sealed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict

from lab.plan.model import Element, Plan
from lab.runtime.base import Runtime
from lab.runtime.forwarding import open_forwarding
from lab.runtime.impairment import Impairment, impair, measure, verify
from lab.runtime.labels import Identity
from lab.runtime.lease import Lease, Request
from lab.runtime.namespace import beside
from lab.runtime.seal import Prober, Proof, helper_spec, seal, verify_sealed
from lab.spec.topology import Topology


def impaired(plan: Plan, leases: Sequence[Lease]) -> list[Impairment]:
    """The networks that are worse than a bridge."""
    bridges = {lease.name: lease.spec.bridge for lease in leases}
    found = (Impairment(net.name, bridges[net.name], net.loss, net.rate, net.delay) for net in plan.networks)
    return [each for each in found if each]


def put_impairments(
    runtime: Runtime, identity: Identity, image: str, helper: str, networks: Sequence[Impairment], plan: Plan, handles: Mapping[str, str]
) -> dict[str, dict[str, float]]:
    """Make networks as bad as the topology says, and what was measured between two elements of each. RuntimeFault where it is not so."""
    impair(runtime, helper, identity, networks)
    found = {}
    for each in networks:
        first, second, *_ = [element for element in plan.elements if element.on(each.network)]
        place = second.on(each.network)
        assert place is not None
        with beside(runtime, identity, image, handles[first.name]) as side:
            measured = measure(runtime, side, str(place.addresses[0]), each)
        verify(measured, each)
        found[each.network] = asdict(measured)
    return found


def requests(topology: Topology) -> list[Request]:
    """The networks of a topology, to be leased."""
    return [Request(name, spec.private, spec.ipv4, spec.ipv6) for name, spec in topology.networks.items()]


def start_helper(
    runtime: Runtime, identity: Identity, image: str, volumes: dict[str, tuple[str, bool]], leases: Sequence[Lease], *, forwards: bool
) -> tuple[str, tuple[str, ...]]:
    """The helper, after it has sealed the networks; and the tables of the host's firewall in which it had to let routers route."""
    helper = runtime.create(helper_spec(identity, image, volumes, forwards=forwards))
    runtime.start(helper)
    seal(runtime, helper, leases)
    return helper, open_forwarding(runtime, helper, identity) if forwards else ()


def prove_seal(
    runtime: Runtime, identity: Identity, image: str, helper: str, leases: Sequence[Lease], plan: Plan, handles: Mapping[str, str]
) -> Proof:
    """On every network an element tries to reach the host: the name server itself, which has an interpreter; for others a container beside
    them does."""
    with ExitStack() as stack:
        probers = []
        for element, ours in _by_element(plan, leases):
            is_able = element.role == "dns"
            handle = handles[element.name]
            handle = handle if is_able else stack.enter_context(beside(runtime, identity, image, handle))
            probers.append(Prober(handle, tuple(_controls(plan, element, ours)), ours))
        return verify_sealed(runtime, helper, leases, *probers)


def _by_element(plan: Plan, leases: Sequence[Lease]) -> Iterator[tuple[Element, tuple[Lease, ...]]]:
    """As few elements as are easily found, name servers first, that are on all networks together; each with those that are its part."""
    left = list(leases)
    while left:
        best = max(plan.elements, key=lambda element: (len(_on(element, left)) and element.role == "dns", len(_on(element, left))))
        ours = _on(best, left)
        if not ours:
            return
        left = [lease for lease in left if lease not in ours]
        yield best, ours


def _on(element: Element, leases: Sequence[Lease]) -> tuple[Lease, ...]:
    return tuple(lease for lease in leases if element.on(lease.name))


def _controls(plan: Plan, prober: Element, leases: Sequence[Lease]) -> Iterator[str]:
    """Addresses on each of the networks that must answer: another element's, its own where it is alone there."""
    for lease in leases:
        others = [element for element in plan.elements if element is not prober and element.on(lease.name)]
        place = (others or [prober])[0].on(lease.name)
        yield from (str(address) for address in (place.addresses if place else ()))

"""From a topology and a binding to the plan. Pure: the same inputs give the same plan, and nothing is asked of the machine."""

from __future__ import annotations

from collections.abc import Mapping

from lab.errors import PlanError
from lab.plan import identity
from lab.plan.addresses import Lease, host_numbers, interface, number_networks
from lab.plan.binding import Binding, Selection, resolve
from lab.plan.model import Domain, Element, Network, Plan, Route
from lab.plan.routing import ip_routes
from lab.plan.zones import make_zones
from lab.spec.options import options_of
from lab.spec.topology import RouteSpec, Topology
from lab.spec.vendor import Vendor


def make_plan(
    topology: Topology,
    binding: Binding | Mapping[str, Selection],
    vendors: Mapping[str, Vendor],
    *,
    seed: int = 1,
    leases: Mapping[str, Lease] | None = None,
) -> Plan:
    """Decide everything a lab will be.

    Elements that `binding` leaves out get the topology's vendor. `leases` maps each network to the subnets it got from the runtime; without
    them the plan uses fixed ones, which is what goldens and `siplab plan` show. PlanError where the parts do not fit.
    """
    selections = resolve(topology, binding.selections if isinstance(binding, Binding) else binding, vendors)
    networks = number_networks(topology, leases)
    declared = {
        name: vendors[chosen.vendor].playing(topology.elements[name].role).capabilities_of(chosen.flavour)
        for name, chosen in selections.items()
    }
    elements = _elements(topology, selections, networks, declared, seed)
    _check_hostnames(elements)
    domains = tuple(
        Domain(
            name,
            spec.proxy,
            tuple(dict.fromkeys(element.account for element in elements if element.account and element.account.domain == name)),
            tuple(_route(route, elements) for route in spec.routes),
            transit=spec.transit,
            backup=spec.backup,
            edges=spec.edges,
        )
        for name, spec in topology.domains.items()
    )
    return Plan(
        topology=topology.name,
        title=topology.title,
        seed=seed,
        networks=networks,
        domains=domains,
        elements=elements,
        zones=make_zones(domains, elements),
        matrix=topology.matrix,
    )


def _elements(
    topology: Topology,
    selections: Mapping[str, Selection],
    networks: tuple[Network, ...],
    declared: Mapping[str, frozenset[str]],
    seed: int,
) -> tuple[Element, ...]:
    hosts, tones = host_numbers(topology), identity.tones(topology)
    by_name = {network.name: network for network in networks}
    places = {
        name: tuple(interface(name, hosts[name], by_name[network]) for network in topology.networks_of(name)) for name in topology.elements
    }
    return tuple(
        Element(
            name=name,
            role=spec.role,
            vendor=selections[name].vendor,
            flavour=selections[name].flavour,
            interfaces=places[name],
            hostname=identity.hostname(topology, name),
            domain=identity.home_domain(topology, name),
            account=identity.account(spec, seed),
            listeners=identity.listeners(topology, name, declared[name]),
            certificates=identity.certificates(topology, name),
            tone_hz=tones.get(name),
            options=options_of(spec.role, spec.options, selections[name].flavour),
            behind=spec.behind,
            start_after=spec.start_after,
            ip_routes=ip_routes(name, topology, places, by_name),
        )
        for name, spec in topology.elements.items()
    )


def _route(route: RouteSpec, elements: tuple[Element, ...]) -> Route:
    """PlanError where the server does not listen on the route's transport."""
    target = next(element for element in elements if element.name == route.to)
    for listener in target.listeners:
        if listener.transport == route.transport and listener.hostname == target.hostname:
            uri = f"sip:{listener.hostname}:{listener.port};transport={listener.transport}"
            return Route(route.user, route.on, route.to, uri, route.event)
    raise PlanError(f'route to "{route.to}": {target.vendor} has no {route.transport}', remedy="choose another transport or vendor")


def _check_hostnames(elements: tuple[Element, ...]) -> None:
    owners: dict[str, str] = {}
    for element in elements:
        for host in dict.fromkeys((element.hostname, *(listener.hostname for listener in element.listeners))):
            if owners.setdefault(host, element.name) != element.name:
                raise PlanError(f'"{owners[host]}" and "{element.name}" would both be {host}', remedy="rename one of them")
